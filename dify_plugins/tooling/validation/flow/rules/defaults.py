"""Rules about what a node gives when it fails."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from dify_plugins.tooling.validation.document import Loc
from dify_plugins.tooling.validation.flow.flow import Flow, FlowNode
from dify_plugins.tooling.validation.flow.outputs import ERROR, outputs
from dify_plugins.tooling.validation.flow.references import references
from dify_plugins.tooling.validation.problem import Problem, listed, meant, shown


def stand_in(flow: Flow) -> Iterator[Problem]:
    """Each is a variable of the node, of its type; none that another node reads is left out."""
    used = {reference.selector[:2] for node in flow.nodes for reference in references(flow.data(node), node.at)}
    for node in flow.nodes:
        if node.data.error_strategy == "default-value":
            yield from _of_node(flow, node, {selector[-1] for selector in used if selector[0] == node.id})


def _of_node(flow: Flow, node: FlowNode, used: set[str]) -> Iterator[Problem]:
    known = outputs(node, flow.catalogue)
    given = {default.key for default in node.data.default_value or ()}
    for index, default in enumerate(node.data.default_value or ()):
        at: Loc = (*node.at, "data", "default_value", index)
        if known is not None and default.key not in known - ERROR:
            what = f"node {node.id}: it has no variable {shown(default.key)}"
            remedy = meant(default.key, known - ERROR, "name one of them")
            yield flow.document.problem((*at, "key"), what, allowed=listed(known - ERROR), remedy=remedy)
        if not _is(default.value, default.type):
            what = f"node {node.id}: the default of {default.key} is {shown(default.value)}"
            allowed = f"a value of the type {default.type}"
            yield flow.document.problem((*at, "value"), what, allowed=allowed, remedy="change one of them")
    for name in sorted(used - given - ERROR):
        if known is None or name in known:
            what = f"node {node.id}: there is no default of {name}, which another node reads"
            loc: Loc = (*node.at, "data", "default_value")
            yield flow.document.problem(
                loc, what, allowed=listed(given), remedy=f"add a default of {name}", of_key=True
            )


def _is(value: Any, kind: str) -> bool:
    """Whether Dify takes ``value`` for one of the type; lists and mappings may be JSON text."""
    if kind == "string":
        return isinstance(value, str)
    if kind not in {"number", "integer", "boolean", "object"} and not kind.startswith("array"):
        return True
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return False
    if kind in {"number", "integer"}:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, {"boolean": bool, "object": dict}.get(kind, list))
