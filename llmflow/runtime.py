"""The one place that builds objects from settings, and what the interfaces call.

Nothing is opened before it is needed: listing documents loads no tagger, asking no parser.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from pathlib import Path
from types import TracebackType

from llmflow.generation.answer import Answerer, AnswerEvent, Finished
from llmflow.ingestion.indexing import Indexer
from llmflow.ingestion.pipeline import Ingester, Outcome
from llmflow.ingestion.training import EmbedderTrainer, Trained, load_embedder
from llmflow.models.llm import LLMClient
from llmflow.pii.masker import Masker
from llmflow.retrieval.pipeline import Retriever
from llmflow.schema import Answer, Document, RetrievalResult, Scope
from llmflow.settings import Settings
from llmflow.stores.database import Database
from llmflow.stores.index import SearchIndex
from llmflow.stores.objects import FileObjectStore
from llmflow.stores.vectors import VectorStore
from llmflow.tracing import LocalTraces, Tracer


class Runtime:
    """LLMFlow, built from settings. Use as a context manager, or call :meth:`close`.

    Raises:
        StoreHeldError: when the stores are first needed and another process holds them.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        settings.data_dir.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Runtime:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @cached_property
    def tracer(self) -> Tracer:
        """Records what follows."""
        return Tracer(self.settings.tracing, self.settings.traces_path)

    @cached_property
    def traces(self) -> LocalTraces:
        """Reads what was recorded."""
        return LocalTraces(self.settings.traces_path)

    @cached_property
    def database(self) -> Database:
        """Documents and jobs."""
        return Database(self.settings.database_url)

    @cached_property
    def objects(self) -> FileObjectStore:
        """Original files."""
        return FileObjectStore(self.settings.objects_root)

    @cached_property
    def masker(self) -> Masker:
        """Masks personal data."""
        return Masker(self.settings.pii)

    @cached_property
    def vectors(self) -> VectorStore:
        """Chunks and their vectors."""
        token = self.settings.vectors.token
        return VectorStore(
            self.settings.vectors_uri,
            self.settings.vectors.collection,
            self.settings.embedder.dimensions,
            token.get_secret_value() if token else None,
        )

    @cached_property
    def indexer(self) -> Indexer:
        """The writer of vectors and index."""
        enabled = self.settings.embedder.enabled
        embedder = load_embedder(self.settings.models_dir, self.vectors.version) if enabled else None
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
    def ingester(self) -> Ingester:
        """Files in."""
        return Ingester(
            self.database,
            self.objects,
            self.indexer,
            self.masker,
            self.settings.parsing,
            self.settings.chunking,
            self.tracer,
        )

    @cached_property
    def retriever(self) -> Retriever:
        """Candidates out."""
        indexer = self.indexer
        return Retriever(indexer.index, self.vectors, lambda: indexer.embedder, self.settings.retrieval, self.tracer)

    @cached_property
    def answerer(self) -> Answerer:
        """Answers out."""
        llm = LLMClient(self.settings.llm) if self.settings.llm.base_url else None
        return Answerer(self.settings.generation, llm, lambda text: self.masker.mask(text).text)

    def ingest(
        self, scope: Scope, department: str, paths: Iterable[Path], on_start: Callable[[int], None] | None = None
    ) -> Iterator[Outcome]:
        """See :meth:`llmflow.ingestion.pipeline.Ingester.ingest`."""
        return self.ingester.ingest(scope, department, paths, on_start)

    def delete(self, scope: Scope, id_or_prefix: str) -> Document:
        """See :meth:`llmflow.ingestion.pipeline.Ingester.delete`."""
        return self.ingester.delete(scope, id_or_prefix)

    def embedder_due(self) -> bool:
        """See :meth:`llmflow.ingestion.training.EmbedderTrainer.due`."""
        return self.trainer.due()

    def train_embedder(self, progress: Callable[[int, int], None] | None = None) -> Trained | None:
        """See :meth:`llmflow.ingestion.training.EmbedderTrainer.train`."""
        with self.tracer.observe("train-embedder", kind="chain") as trace:
            trained = self.trainer.train(progress)
            trace.update(output=trained and trained.version)
            return trained

    def search(
        self, scope: Scope, question: str, top_k: int | None = None, threshold: float | None = None
    ) -> RetrievalResult:
        """See :meth:`llmflow.retrieval.pipeline.Retriever.retrieve`."""
        with self.tracer.observe("search", kind="chain", input=self.masker.mask(question).text):
            return self.retriever.retrieve(scope, question, top_k, threshold)

    def ask(self, scope: Scope, question: str, top_k: int | None = None) -> Answer:
        """Retrieve and answer."""
        *_, last = self.ask_streaming(scope, question, top_k)
        assert isinstance(last, Finished)
        return last.answer

    def ask_streaming(self, scope: Scope, question: str, top_k: int | None = None) -> Iterator[AnswerEvent]:
        """Retrieve and answer, the answer as it is made; the last event holds all of it."""
        with self.tracer.observe("ask", kind="chain", input=self.masker.mask(question).text) as trace:
            result = self.retriever.retrieve(scope, question, top_k)
            with self.tracer.observe("answer", kind="generation") as step:
                for event in self.answerer.stream(question, result):
                    if isinstance(event, Finished):
                        step.update(output=event.answer.text, metadata=event.answer.timings_ms)
                        trace.update(output=event.answer.mode)
                    yield event

    def close(self) -> None:
        """Release what was opened; traces are written out."""
        opened = self.__dict__
        for name in ("trainer", "retriever", "vectors", "database", "tracer"):
            if name in opened:
                opened.pop(name).close()
