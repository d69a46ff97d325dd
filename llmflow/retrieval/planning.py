"""Which legs a question is put to."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from llmflow.models.embedder import Embedder
from llmflow.retrieval.analysis import AnalyzedQuery
from llmflow.retrieval.fusion import Fused
from llmflow.retrieval.graph import facts, graph_leg, spread
from llmflow.retrieval.legs import GRAPH, MEMORY, REFERENCE, SPREAD, Leg, embedding_legs, lexical_legs, reference_leg
from llmflow.retrieval.memory import Memories, memory_leg
from llmflow.schema import Candidate, Fact, Scope
from llmflow.settings import Settings
from llmflow.stores.graph import GraphStore
from llmflow.stores.index import View

FACTS = "facts"


class LegPlanner:
    """Makes the legs of a question.

    Args:
        embedder: gives the embedder of the stored vectors, None while there is none.
        graph: None without one.
        memories: gives the past questions of a scope; None without.
    """

    def __init__(
        self,
        embedder: Callable[[], Embedder | None],
        graph: GraphStore | None,
        memories: Memories | None,
        settings: Settings,
    ) -> None:
        self._embedder = embedder
        self._graph = graph
        self._memories = memories
        self._settings = settings

    def plan(self, scope: Scope, view: View, analyzed: AnalyzedQuery) -> dict[str, Leg]:
        """The legs that run side by side, by name."""
        settings = self._settings.retrieval
        legs = lexical_legs(view, analyzed.text, settings)
        embedder = self._embedder()
        if embedder is not None:
            legs |= embedding_legs(view, analyzed, embedder, settings)
        if analyzed.query.references:
            legs[REFERENCE] = reference_leg(view, analyzed)
        if self._graph is not None and settings.graph_weight > 0:
            legs[GRAPH] = graph_leg(view, self._graph, scope, analyzed)
        if self._memories is not None and settings.memory_weight > 0:
            legs[MEMORY] = memory_leg(view, analyzed, self._memories, scope, self._settings.memory)
        return legs

    def plan_second(self, scope: Scope, view: View, fused: Fused) -> dict[str, Leg]:
        """The legs that start from what the first ones found."""
        graph = self._graph
        if graph is None or self._settings.retrieval.spread_weight == 0:
            return {}
        return {SPREAD: lambda: spread(view, graph, scope, fused.order, fused.scores)}

    def plan_facts(self, scope: Scope, candidates: Sequence[Candidate]) -> dict[str, Callable[[], tuple[Fact, ...]]]:
        """What the graph knows of the candidates, to be run like a leg."""
        graph = self._graph
        return {} if graph is None else {FACTS: lambda: facts(graph, scope, candidates)}
