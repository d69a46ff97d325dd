"""What Python files define and import, read without running them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath

from dify_plugins.tooling.validation.problem import Place, Problem

SDK = "dify_plugin"


@dataclass(frozen=True, slots=True)
class Import:
    """A module that a file needs when it runs."""

    module: str
    line: int


@dataclass(frozen=True, slots=True)
class Lineage:
    """What a class is made of.

    Attributes:
        classes: the class and its bases of the folder, nearest first.
        others: dotted names of its bases from elsewhere.
    """

    classes: list[ast.ClassDef]
    others: set[str]

    def lacks(self, methods: frozenset[str]) -> set[str]:
        """Of ``methods`` and of its own abstract ones, those that nobody wrote."""
        wanted, written = set(methods), set[str]()
        for part in self.classes:
            for node in part.body:
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    is_abstract = any("abstract" in ast.unparse(decorator) for decorator in node.decorator_list)
                    (wanted if is_abstract else written).add(node.name)
                elif isinstance(node, ast.Assign):
                    written |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        return wanted - written


class Sources:
    """The Python files of a folder, parsed when asked for, each once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._trees: dict[PurePosixPath, ast.Module | Problem] = {}

    def tree(self, path: PurePosixPath) -> ast.Module | Problem | None:
        """The syntax of a file; nothing where there is no such file."""
        file = self.folder / path
        if path not in self._trees and file.is_file():
            try:
                self._trees[path] = _parsed(file.read_bytes())
            except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
                line = getattr(error, "lineno", None) or 1
                column = getattr(error, "offset", None) or 1
                what = f"this is not Python: {getattr(error, 'msg', error)}"
                self._trees[path] = Place(file, line, column).problem(what, remedy="correct it")
        return self._trees.get(path)

    def subclasses(self, path: PurePosixPath, bases: frozenset[str]) -> dict[str, str]:
        """Classes a file names that derive from classes of the SDK: name to base.

        The SDK looks at every name of the module, so a class that is only imported counts as well.

        Args:
            bases: names of classes of ``dify_plugin``.
        """
        tree = self.tree(path)
        if not isinstance(tree, ast.Module):
            return {}
        defined = {node.name for node in tree.body if isinstance(node, ast.ClassDef)}
        imported = {name for name, whole in _imported(tree, path).items() if whole.split(".")[0] != SDK}
        found = {}
        for name in sorted(defined | imported):
            of_sdk = {whole.split(".")[-1] for whole in self.lineage(path, name).others if whole.split(".")[0] == SDK}
            if known := of_sdk & bases:
                found[name] = min(known)
        return found

    def lineage(self, path: PurePosixPath, name: str) -> Lineage:
        """The class that a file calls ``name``, with all it derives from."""
        found = Lineage([], set())
        waiting, seen = [f"{_module(path)}.{name}"], set[str]()
        while waiting:
            whole = waiting.pop(0)
            if whole in seen:
                continue
            seen.add(whole)
            module, _, name = whole.rpartition(".")
            at = self.module(module)
            tree = self.tree(at) if at else None
            if at is None or not isinstance(tree, ast.Module):
                found.others.add(whole)
                continue
            imported = _imported(tree, at)
            node = next((node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name), None)
            if node:
                found.classes.append(node)
                for base in map(_dotted, node.bases):
                    head, dot, rest = base.partition(".")
                    waiting.append(f"{imported.get(head) or f'{module}.{head}'}{dot}{rest}")
            elif name in imported:
                waiting.append(imported[name])
        return found

    def module(self, name: str) -> PurePosixPath | None:
        """The file of the folder's own module ``a.b``."""
        path = PurePosixPath(*name.split("."))
        return next((file for file in (PurePosixPath(f"{path}.py"), path / "__init__.py") if self.tree(file)), None)


@lru_cache(maxsize=512)
def _parsed(content: bytes) -> ast.Module:
    """Plugins have files in common; nobody changes a tree."""
    tree = ast.parse(content)
    compile(content, "<source>", "exec", dont_inherit=True)  # finds what no syntax tree shows, as a stray return
    return tree


def _dotted(node: ast.expr) -> str:
    """``tool.Base`` of ``tool.Base`` and of ``tool.Base[X]``."""
    return ast.unparse(node.value if isinstance(node, ast.Subscript) else node)


def _module(path: PurePosixPath) -> str:
    """``tools.retrieve`` of ``tools/retrieve.py``."""
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imported(tree: ast.Module, path: PurePosixPath) -> dict[str, str]:
    """The dotted names behind the names that a file imports."""
    found = {}
    for node in tree.body:
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.split(".")[0]
                found[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom):
            around = ".".join(path.parts[: -node.level]) if node.level else ""
            module = ".".join(part for part in (around, node.module or "") if part)
            found |= {alias.asname or alias.name: f"{module}.{alias.name}" for alias in node.names}
    return found


def imports(tree: ast.Module) -> Iterator[Import]:
    """The absolute imports of a file; those for type checkers only do not count."""
    for node in statements(tree):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield Import(node.module, node.lineno)


def statements(tree: ast.Module) -> Iterator[ast.AST]:
    """Every node of a file but for what only type checkers read."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting += node.orelse
            continue
        yield node
        waiting += ast.iter_child_nodes(node)


def names(tree: ast.Module) -> set[str] | None:
    """What other files can import from a file; none where it cannot be told without running it."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {alias.asname or alias.name.split(".")[0] for alias in node.names}
    return None if found & {"*", "__getattr__"} else found
