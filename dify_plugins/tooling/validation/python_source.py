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
            except (SyntaxError, ValueError) as error:
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
        classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
        imported = _imported(tree, path)
        found = {name: self._base_of_class(node, imported, path, bases, ()) for name, node in classes.items()}
        found |= {name: self._base(whole, bases, ()) for name, whole in imported.items() if whole.split(".")[0] != SDK}
        return {name: base for name, base in found.items() if base}

    def _base(self, whole: str, bases: frozenset[str], seen: tuple[str, ...]) -> str | None:
        """The class of the SDK that the class with the dotted name ``whole`` is or derives from."""
        *modules, name = whole.split(".")
        if whole.split(".")[0] == SDK:
            return name if name in bases else None
        file = PurePosixPath(*modules)
        for path in (file.with_suffix(".py"), file / "__init__.py") if modules and whole not in seen else ():
            tree = self.tree(path)
            if isinstance(tree, ast.Module):
                imported = _imported(tree, path)
                for node in tree.body:
                    if isinstance(node, ast.ClassDef) and node.name == name:
                        return self._base_of_class(node, imported, path, bases, (*seen, whole))
                return self._base(imported[name], bases, (*seen, whole)) if name in imported else None
        return None

    def _base_of_class(
        self,
        node: ast.ClassDef,
        imported: dict[str, str],
        path: PurePosixPath,
        bases: frozenset[str],
        seen: tuple[str, ...],
    ) -> str | None:
        for expression in node.bases:
            head, _, rest = _dotted(expression).partition(".")
            whole = imported.get(head) or f"{_module(path)}.{head}"
            if found := self._base(f"{whole}.{rest}" if rest else whole, bases, seen):
                return found
        return None


@lru_cache(maxsize=512)
def _parsed(content: bytes) -> ast.Module:
    """Plugins have files in common; nobody changes a tree."""
    return ast.parse(content)


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
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting += node.orelse
            continue
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield Import(node.module, node.lineno)
        waiting += ast.iter_child_nodes(node)
