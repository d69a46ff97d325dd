"""The one place that builds objects from settings.

Nothing is opened before it is needed: listing documents loads no tagger, asking no parser.
"""

from __future__ import annotations

from functools import cached_property, partial
from types import TracebackType
from typing import Self

from llmflow.generation.answer import Answerer
from llmflow.generation.cache import AnswerCache, question_vector
from llmflow.ingestion.embedding import writer_of
from llmflow.ingestion.endings import Endings
from llmflow.ingestion.entities.linking import Linker
from llmflow.ingestion.indexing import Indexer, encode_chunks
from llmflow.ingestion.intake import Intake
from llmflow.ingestion.leases import Worker
from llmflow.ingestion.pipeline import Ingester
from llmflow.ingestion.training import EmbedderTrainer
from llmflow.models.cross_encoder import open_cross_encoder
from llmflow.models.embedder import Embedder, open_embedder
from llmflow.models.gateway import Gateway
from llmflow.models.llm import LLMClient
from llmflow.pii.masker import Masker
from llmflow.retrieval.head import HeadStages
from llmflow.retrieval.learned import open_learned
from llmflow.retrieval.memory import QueryMemory
from llmflow.retrieval.pipeline import Retriever
from llmflow.retrieval.planning import LegPlanner
from llmflow.retrieval.reranking import open_reranker
from llmflow.retrieval.texts import TextRanker
from llmflow.settings import Settings
from llmflow.stores.database import Database
from llmflow.stores.feedback import FeedbackStore
from llmflow.stores.graph import GraphStore, open_graph
from llmflow.stores.index import SearchIndex
from llmflow.stores.keys import KeyStore
from llmflow.stores.keyvalue import KeyValueStore, open_keyvalue
from llmflow.stores.memory import MemoryStore
from llmflow.stores.objects import ObjectStore, open_objects
from llmflow.stores.ownership import Ownership
from llmflow.stores.queue import JobQueue
from llmflow.stores.vectors import VectorStore
from llmflow.tracing import LocalTraces, Tracer


class Parts:
    """What LLMFlow is made of, built from settings. Use as a context manager, or call :meth:`close`.

    Args:
        owner: whether this process owns the vector store. One that does not can run jobs, and
            leaves the last stage of each to the owner.

    Raises:
        StoreHeldError: when the stores are first needed and another process holds them.
    """

    def __init__(self, settings: Settings, *, owner: bool = True) -> None:
        self.settings = settings
        self.owner = owner
        settings.data_dir.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @cached_property
    def tracer(self) -> Tracer:
        """Records what follows."""
        return Tracer(self.settings.tracing, self.settings.traces_path, lambda text: self.masker.mask(text).text)

    @cached_property
    def traces(self) -> LocalTraces:
        """Reads what was recorded."""
        return LocalTraces(self.settings.traces_path)

    @cached_property
    def database(self) -> Database:
        """Documents and jobs."""
        return Database(self.settings.database_url)

    @cached_property
    def queue(self) -> JobQueue:
        """Jobs that wait, of every tenant."""
        return JobQueue(self.database.engine)

    @cached_property
    def worker(self) -> Worker:
        """This process among those that run jobs."""
        return Worker(self.queue, self.settings.data_dir / "workers", self.settings.jobs.lease_s)

    @cached_property
    def objects(self) -> ObjectStore:
        """Original files."""
        return open_objects(self.settings)

    @cached_property
    def keyvalue(self) -> KeyValueStore:
        """Cache, chat history and rate limits."""
        return open_keyvalue(self.settings.keyvalue_url)

    @cached_property
    def masker(self) -> Masker:
        """Masks personal data."""
        return Masker(self.settings.pii)

    @cached_property
    def ownership(self) -> Ownership:
        """This process as the owner of the vector store and the index in memory."""
        return Ownership(self.settings.data_dir)

    @cached_property
    def vectors(self) -> VectorStore:
        """Chunks and their vectors."""
        assert self.owner
        assert self.ownership
        token = self.settings.vectors.token
        return VectorStore(
            self.settings.vectors_uri,
            self.settings.vectors.collection,
            self.settings.embedder.training.dimensions,
            token.get_secret_value() if token else None,
        )

    @cached_property
    def embedding_model(self) -> Embedder | None:
        """The model that embeds texts; None where that is trained on the documents, or nothing."""
        return open_embedder(self.settings.embedder)

    @cached_property
    def graph(self) -> GraphStore | None:
        """Entities and relations; None where it is switched off."""
        assert self.owner
        return open_graph(self.settings) if self.settings.graph.enabled and self.ownership else None

    @cached_property
    def linker(self) -> Linker | None:
        """The writer of the graph; None where it is switched off."""
        return Linker(self.graph, self.settings.graph, self.llm) if self.graph else None

    @cached_property
    def indexer(self) -> Indexer:
        """The writer of vectors and index."""
        settings = self.settings
        return self._indexer(writer_of(self.vectors, settings.embedder, settings.models_dir, self.embedding_model))

    def _indexer(self, embedder: Embedder | None) -> Indexer:
        # What a killed ingestion left half written is not found until it is finished.
        unfinished = self.database.unfinished_ids()
        rows = (row for row in self.vectors.rows() if row.chunk.document_id not in unfinished)
        index = SearchIndex(rows, self.vectors.version)
        return Indexer(self.vectors, index, self.settings.retrieval, embedder)

    @cached_property
    def trainer(self) -> EmbedderTrainer:
        """Trains the embedded dense leg."""
        return EmbedderTrainer(self.settings.models_dir, self.settings.embedder, self.indexer)

    @cached_property
    def endings(self) -> Endings:
        """What became of jobs."""
        indexer, linker = (self.indexer, self.linker) if self.owner else (None, None)
        return Endings(self.database, self.queue, self.objects, indexer, linker)

    @cached_property
    def intake(self) -> Intake:
        """Files in."""
        indexer = self.indexer if self.owner else None
        return Intake(self.database, self.worker, self.objects, indexer, self.endings)

    @cached_property
    def ingester(self) -> Ingester:
        """Jobs through the stages."""
        settings = self.settings
        return Ingester(
            self.intake,
            self.endings,
            self.database,
            self.queue,
            self.worker,
            self.objects,
            self.indexer if self.owner else None,
            self.indexer.encode
            if self.owner
            else partial(encode_chunks, settings=settings.retrieval, embedder=self.embedding_model),
            self.masker,
            settings,
            self.tracer,
        )

    @cached_property
    def llm(self) -> LLMClient | None:
        """The LLM's endpoint; None without one."""
        return LLMClient(self.settings.llm) if self.settings.llm.base_url else None

    @cached_property
    def gateway(self) -> Gateway | None:
        """The LLM's endpoint for callers' own completions; None without one. Its event loop closes it."""
        settings = self.settings.llm
        return Gateway(settings.base_url, settings) if settings.base_url else None

    @cached_property
    def head(self) -> HeadStages:
        """The models that rerank."""
        cross_encoder = open_cross_encoder(self.settings.cross_encoder)
        reranker = open_reranker(self.settings.reranker, self.llm, self.keyvalue)
        return HeadStages(cross_encoder, reranker, self.settings)

    @cached_property
    def legs(self) -> LegPlanner:
        """The legs of a question."""
        indexer = self.indexer
        memories = self.memory.indexes if self.settings.memory.enabled else None
        return LegPlanner(lambda: indexer.embedder, self.graph, memories, self.settings)

    @cached_property
    def retriever(self) -> Retriever:
        """Candidates out."""
        settings = self.settings.retrieval
        learned = open_learned(settings)
        return Retriever(self.indexer.index, self.vectors, self.legs, self.head, settings, self.tracer, learned)

    @cached_property
    def text_ranker(self) -> TextRanker:
        """Ranks texts that are in no store."""
        indexer = self.indexer
        return TextRanker(lambda: indexer.embedder, self.head, self.settings.retrieval, self.tracer)

    @cached_property
    def answerer(self) -> Answerer:
        """Answers out."""
        return Answerer(self.settings.generation, self.llm, lambda text: self.masker.mask(text).text)

    @cached_property
    def cache(self) -> AnswerCache:
        """Answers given before."""
        return AnswerCache(self.keyvalue, self.settings.cache, question_vector, self.database.versions)

    @cached_property
    def keys(self) -> KeyStore:
        """Keys of the API."""
        return KeyStore(self.database.engine)

    @cached_property
    def feedback(self) -> FeedbackStore:
        """What users thought of answers."""
        return FeedbackStore(self.database.engine)

    @cached_property
    def memories(self) -> MemoryStore:
        """Passages accepted for past questions."""
        return MemoryStore(self.database.engine)

    @cached_property
    def memory(self) -> QueryMemory:
        """The same, ready to be compared with a new question."""
        return QueryMemory(self.memories)

    def close(self) -> None:
        """Release what was opened; traces are written out."""
        opened = self.__dict__
        parts = ("trainer", "retriever", "text_ranker", "worker", "graph", "vectors", "database", "keyvalue", "tracer")
        for name in parts:
            if (part := opened.pop(name, None)) is not None:
                part.close()
        if "ownership" in opened:
            opened.pop("ownership").release()
