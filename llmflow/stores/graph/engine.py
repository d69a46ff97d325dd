"""What the graph store asks of a graph database: Cypher in, rows out."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol

Rows = list[dict[str, Any]]
Run = Callable[[str, dict[str, Any]], Rows]


class GraphEngine(Protocol):
    """A graph database that speaks the Cypher of :mod:`llmflow.stores.graph.statements`.

    Reading is safe between threads, also while one thread writes.
    """

    def read(self, statement: str, parameters: dict[str, Any]) -> Rows:
        """The rows a statement returns, as {column: value}.

        Raises:
            UpstreamError: the server does not answer, or the file cannot be used; says what to do.
        """

    def transaction(self) -> AbstractContextManager[Run]:
        """Statements that all take effect when the block ends, or, where it raises, none.

        Raises:
            UpstreamError: as :meth:`read`.
        """

    def close(self) -> None:
        """Release the database."""
