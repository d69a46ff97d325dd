"""A flow as its document says it is, and how its nodes hang together."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from dify_plugins.tooling.validation.document import Document, Loc, read
from dify_plugins.tooling.validation.flow.app import App, Edge, Node
from dify_plugins.tooling.validation.flow.catalogue import Catalogue
from dify_plugins.tooling.validation.flow.nodes import NODES, NodeData, Note
from dify_plugins.tooling.validation.problem import Problem, listed, meant, shown
from dify_plugins.tooling.validation.schema import check

NODES_AT: Loc = ("workflow", "graph", "nodes")
EDGES_AT: Loc = ("workflow", "graph", "edges")
N = TypeVar("N", bound=NodeData)


@dataclass(frozen=True)
class FlowNode:
    """A node with its data.

    Attributes:
        at: the way to the node in the document.
    """

    at: Loc
    node: Node
    data: NodeData

    @property
    def id(self) -> str:
        """Its name in the flow."""
        return self.node.id

    @property
    def type(self) -> str:
        """What it does."""
        return self.data.type


@dataclass(frozen=True)
class Flow:
    """An app that could be read, beside the plugins it may use."""

    document: Document
    app: App
    nodes: list[FlowNode]
    catalogue: Catalogue

    def of(self, model: type[N]) -> list[tuple[FlowNode, N]]:
        """The nodes of one type."""
        return [(node, node.data) for node in self.nodes if isinstance(node.data, model)]

    def data(self, node: FlowNode) -> dict[str, Any]:
        """What a node says, as it stands in the file."""
        found: dict[str, Any] = self.document.data["workflow"]["graph"]["nodes"][node.at[-1]]["data"]
        return found

    @property
    def edges(self) -> list[Edge]:
        """What comes after what."""
        return self.app.workflow.graph.edges

    @cached_property
    def by_id(self) -> dict[str, FlowNode]:
        """The nodes by name."""
        return {node.id: node for node in self.nodes}

    @cached_property
    def _before(self) -> dict[str, set[str]]:
        before: dict[str, set[str]] = {node.id: set() for node in self.nodes}
        for edge in self.edges:
            before.setdefault(edge.target, set()).add(edge.source)
        for node in self.nodes:
            if node.node.parentId:
                before[node.id].add(node.node.parentId)
        return before

    def upstream(self, node_id: str) -> set[str]:
        """The nodes that run before one: along the edges, and out of an iteration."""
        found: set[str] = set()
        waiting = [node_id]
        while waiting:
            for earlier in self._before.get(waiting.pop(), ()):
                if earlier not in found:
                    found.add(earlier)
                    waiting.append(earlier)
        return found


def load(path: Path, catalogue: Catalogue) -> tuple[Flow | None, list[Problem]]:
    """Read a flow; none where its file, its graph or a node of it cannot be read."""
    document, problems = read(path)
    if document is None:
        return None, problems
    app, problems = check(document, App)
    if app is None:
        return None, problems
    loading = _Loading(document)
    nodes = [loaded for index, node in enumerate(app.workflow.graph.nodes) if (loaded := loading.node(index, node))]
    return (None if loading.problems else Flow(document, app, nodes, catalogue)), loading.problems


@dataclass(slots=True)
class _Loading:
    document: Document
    problems: list[Problem] = field(default_factory=list)

    def node(self, index: int, node: Node) -> FlowNode | None:
        at: Loc = (*NODES_AT, index)
        if node.type == "custom-note":
            _, problems = check(self.document, Note, (*at, "data"))
            self.problems += problems
            return None
        kind = node.data.get("type")
        model = NODES.get(kind) if isinstance(kind, str) else None
        if model is None:
            what = f"node {node.id}: the type is {shown(kind)}"
            remedy = meant(kind, NODES, "choose one of them")
            self.problems.append(
                self.document.problem((*at, "data", "type"), what, allowed=listed(NODES), remedy=remedy)
            )
            return None
        data, problems = check(self.document, model, (*at, "data"))
        self.problems += problems
        return FlowNode(at, node, data) if data else None
