"""Rules about the Python of code nodes, read without running it."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator

from dify_plugins.tooling.validation.document import Loc
from dify_plugins.tooling.validation.flow.flow import Flow, FlowNode
from dify_plugins.tooling.validation.flow.nodes import Code
from dify_plugins.tooling.validation.problem import Problem, listed, meant, shown


def runs(flow: Flow) -> Iterator[Problem]:
    """It is Python with a function ``main`` that takes what the node gives it and gives what the node promises."""
    for node, data in flow.of(Code):
        if data.code_language != "python3":
            continue
        try:
            tree = ast.parse(data.code)
            compile(data.code, "<code>", "exec", dont_inherit=True)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            what = f"the code is not Python: {getattr(error, 'msg', error)}, in its line {getattr(error, 'lineno', 1)}"
            yield _problem(flow, node, ("code",), what, remedy="correct it")
            continue
        yield from _imports(flow, node, data, tree)
        main = next((part for part in tree.body if isinstance(part, ast.FunctionDef) and part.name == "main"), None)
        if main is None:
            yield _problem(flow, node, ("code",), "the code has no function main", remedy="add def main(...) -> dict:")
            continue
        yield from _arguments(flow, node, data, main.args)
        yield from _results(flow, node, data, main)


def _imports(flow: Flow, node: FlowNode, data: Code, tree: ast.Module) -> Iterator[Problem]:
    known = {*sys.stdlib_module_names, *(library.name for library in data.dependencies or ())}
    for part in ast.walk(tree):
        modules = [alias.name for alias in part.names] if isinstance(part, ast.Import) else []
        modules += [part.module or "."] if isinstance(part, ast.ImportFrom) else []
        for module in modules:
            if module.split(".")[0] not in known:
                what = f"the code imports {module}, which Dify's sandbox does not have by itself"
                yield _problem(flow, node, ("code",), what, allowed="Python's own library", remedy="do without it")


def _arguments(flow: Flow, node: FlowNode, data: Code, taken: ast.arguments) -> Iterator[Problem]:
    names = [argument.arg for argument in (*taken.args, *taken.kwonlyargs)]
    given = [variable.variable for variable in data.variables]
    for index, name in enumerate(given):
        if name not in names and not taken.kwarg:
            what = f"main takes no argument {shown(name)}"
            remedy = meant(name, names, "add it to main, or remove the variable")
            yield _problem(flow, node, ("variables", index, "variable"), what, allowed=listed(names), remedy=remedy)
    optional = {argument.arg for argument in taken.args[len(taken.args) - len(taken.defaults) :]}
    pairs = zip(taken.kwonlyargs, taken.kw_defaults, strict=True)
    optional |= {argument.arg for argument, default in pairs if default is not None}
    for name in names:
        if name not in given and name not in optional:
            what = f"main needs the argument {name}, and no variable is called so"
            yield _problem(flow, node, ("variables",), what, allowed=listed(given), remedy=f"add the variable {name}")


def _results(flow: Flow, node: FlowNode, data: Code, main: ast.FunctionDef) -> Iterator[Problem]:
    """What ``return {...}`` gives; other ways to return something are not looked into."""
    for keys in map(_keys, _returned(main)):
        for name in sorted(set(data.outputs) - keys) if keys is not None else ():
            what = f"main does not return {name}"
            yield _problem(flow, node, ("outputs", name), what, allowed=listed(keys or ()), remedy="return it always")
        for name in sorted(keys - set(data.outputs)) if keys is not None else ():
            what = f"main returns {shown(name)}, which is no output"
            remedy = meant(name, data.outputs, "add it to outputs")
            yield _problem(flow, node, ("outputs",), what, allowed=listed(data.outputs), remedy=remedy)


def _returned(main: ast.FunctionDef) -> Iterator[ast.expr]:
    """What ``main`` returns, without the functions inside it."""
    waiting: list[ast.AST] = list(main.body)
    while waiting:
        part = waiting.pop()
        if isinstance(part, ast.Return) and part.value:
            yield part.value
        if not isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            waiting += ast.iter_child_nodes(part)


def _keys(value: ast.expr) -> set[str] | None:
    """The keys of a literal mapping; none where a key is computed."""
    keys = value.keys if isinstance(value, ast.Dict) else [None]
    names = [key.value for key in keys if isinstance(key, ast.Constant) and isinstance(key.value, str)]
    return set(names) if len(names) == len(keys) else None


def _problem(flow: Flow, node: FlowNode, loc: Loc, what: str, *, remedy: str, allowed: str = "") -> Problem:
    text = f"node {node.id}: {what}"
    return flow.document.problem((*node.at, "data", *loc), text, allowed=allowed, remedy=remedy, of_key=True)
