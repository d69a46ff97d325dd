"""The graph of documents, chunks, entities and relations.

``store`` is what the rest calls; ``ladybug`` and ``neo4j`` run the Cypher of ``statements``; ``index``
holds in memory what a search walks, ``reading`` is its arithmetic. What is an entity is decided
elsewhere; nothing here reads text.
"""

from llmflow.errors import NotFoundError
from llmflow.settings import Settings
from llmflow.stores.graph.engine import GraphEngine
from llmflow.stores.graph.ladybug import LadybugEngine
from llmflow.stores.graph.neo4j import Neo4jEngine
from llmflow.stores.graph.parts import About, DocumentGraph, Entity, Mention, Relation, name_key
from llmflow.stores.graph.store import GraphStore, Neighbourhood

__all__ = [
    "About",
    "DocumentGraph",
    "Entity",
    "GraphStore",
    "Mention",
    "Neighbourhood",
    "Relation",
    "name_key",
    "open_graph",
]

_FILE = "graph.lbug"


def open_graph(settings: Settings, *, read_only: bool = False) -> GraphStore:
    """The graph of the settings: on a Neo4j server, or in ``data_dir``.

    Args:
        read_only: open the one in ``data_dir`` beside a process that writes to it.

    Raises:
        ConfigurationError: the driver of Neo4j is not installed.
        NotFoundError: there is no graph in ``data_dir`` yet, to be read only.
        StoreHeldError: another process holds the graph in ``data_dir``.
        UpstreamError: the server does not answer, or the file cannot be written.
    """
    engine: GraphEngine
    if settings.graph.uri:
        engine = Neo4jEngine(settings.graph)
    else:
        path = settings.data_dir / _FILE
        if read_only and not path.exists():
            raise NotFoundError(
                f"there is no graph in {settings.data_dir} yet; ingest documents, or run `llmflow graph rebuild`",
                param="graph",
            )
        engine = LadybugEngine(path, read_only=read_only)
    return GraphStore(engine)
