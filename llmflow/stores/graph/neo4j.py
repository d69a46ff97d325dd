"""The graph on a Neo4j server, version 5 or later (extra ``neo4j``)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from llmflow.errors import ConfigurationError, UpstreamError
from llmflow.settings import GraphSettings
from llmflow.stores.graph.engine import Rows, Run
from llmflow.stores.graph.statements import NEO4J_SCHEMA


class Neo4jEngine:
    """The graph on the server at ``settings.uri``.

    Raises:
        ConfigurationError: the driver is not installed.
        UpstreamError: the server does not answer or refuses the credentials.
    """

    def __init__(self, settings: GraphSettings) -> None:
        try:
            import neo4j
        except ImportError as error:
            raise ConfigurationError(
                f"graph.uri is {settings.uri}, but the driver is not installed; run `pip install 'llmflow[neo4j]'`",
                param="graph.uri",
            ) from error
        self._uri = settings.uri
        self._errors = (neo4j.exceptions.Neo4jError, neo4j.exceptions.DriverError)
        password = settings.password.get_secret_value() if settings.password else ""
        self._driver = neo4j.GraphDatabase.driver(settings.uri, auth=(settings.user, password))
        self._database = settings.database
        for statement in NEO4J_SCHEMA:
            self.read(statement, {})

    def read(self, statement: str, parameters: dict[str, Any]) -> Rows:
        """See :class:`~llmflow.stores.graph.engine.GraphEngine`."""
        with self._speaking(), self._driver.session(database=self._database) as session:
            return [record.data() for record in session.run(statement, parameters)]

    @contextmanager
    def transaction(self) -> Iterator[Run]:
        """See :class:`~llmflow.stores.graph.engine.GraphEngine`."""
        with (
            self._speaking(),
            self._driver.session(database=self._database) as session,
            session.begin_transaction() as transaction,
        ):
            yield lambda statement, parameters: [record.data() for record in transaction.run(statement, parameters)]
            transaction.commit()

    def close(self) -> None:
        """See :class:`~llmflow.stores.graph.engine.GraphEngine`."""
        self._driver.close()

    @contextmanager
    def _speaking(self) -> Iterator[None]:
        try:
            yield
        except self._errors as error:
            raise UpstreamError(
                f"Neo4j at {self._uri} fails: {error}. Check that it runs and has room on its disk, and graph.user and"
                " graph.password. What it lacks then, `llmflow graph rebuild` writes.",
                param="graph.uri",
            ) from error
