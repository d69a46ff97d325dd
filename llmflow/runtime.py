"""The one place that builds objects from settings, and what the interfaces call.

Nothing is opened before it is needed: listing documents loads no tagger, asking no parser.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from types import TracebackType

from llmflow.errors import ConflictError
from llmflow.generation.answer import Answerer, AnswerEvent, Finished, TextDelta
from llmflow.generation.cache import AnswerCache, Lookup, question_vector
from llmflow.ingestion.embedding import writer_of
from llmflow.ingestion.endings import Endings
from llmflow.ingestion.entities.linking import Linker
from llmflow.ingestion.indexing import Indexer, encode_chunks
from llmflow.ingestion.intake import Intake
from llmflow.ingestion.leases import Worker
from llmflow.ingestion.pipeline import Ingester, Outcome
from llmflow.ingestion.reindexing import Reindexed, reindex
from llmflow.ingestion.training import EmbedderTrainer, Progress, Trained
from llmflow.korean import AnalyzedText, analyze
from llmflow.models.cross_encoder import open_cross_encoder
from llmflow.models.embedder import Embedded, Embedder, EmbedderInput, open_embedder
from llmflow.models.llm import LLMClient, Message
from llmflow.models.sparse import encode
from llmflow.pii.masker import Masker
from llmflow.retrieval.analysis import analyze_query
from llmflow.retrieval.head import HeadStages
from llmflow.retrieval.learned import open_learned
from llmflow.retrieval.memory import QueryMemory, question_terms
from llmflow.retrieval.pipeline import Retriever
from llmflow.retrieval.planning import LegPlanner
from llmflow.retrieval.reranking import open_reranker
from llmflow.retrieval.texts import TextRanker, TextRanking
from llmflow.schema import Answer, Chunk, Document, RerankMode, RetrievalResult, Scope
from llmflow.settings import Settings
from llmflow.stores.database import Database
from llmflow.stores.feedback import FeedbackStore
from llmflow.stores.graph import GraphStore, open_graph
from llmflow.stores.index import SearchIndex
from llmflow.stores.keys import KeyStore
from llmflow.stores.keyvalue import KeyValueStore, open_keyvalue
from llmflow.stores.memory import Accepted, Memory, MemoryStore, Origin
from llmflow.stores.objects import ObjectStore, open_objects
from llmflow.stores.ownership import Ownership
from llmflow.stores.queue import JobQueue
from llmflow.stores.vectors import VectorStore
from llmflow.tracing import LocalTraces, Tracer, in_own_context


class Runtime:
    """LLMFlow, built from settings. Use as a context manager, or call :meth:`close`.

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

    def open(self) -> None:
        """Open and load everything a question or a document needs, so that nobody waits for it or meets its faults.

        Raises:
            ConfigurationError: a setting cannot be used.
            StoreHeldError: another process holds the stores.
            UpstreamError: the database server does not answer.
        """
        question_vector("연차휴가는 며칠인가요?")
        self.masker.mask("연차휴가")
        for part in (
            self.retriever,
            self.text_ranker,
            self.answerer,
            self.ingester,
            self.trainer,
            self.keyvalue,
            self.traces,
        ):
            assert part is not None

    def ingest(
        self, scope: Scope, department: str, paths: Iterable[Path], on_start: Callable[[int], None] | None = None
    ) -> Iterator[Outcome]:
        """See :meth:`llmflow.ingestion.pipeline.Ingester.ingest`."""
        return self.ingester.ingest(scope, department, paths, on_start)

    def delete(self, scope: Scope, id_or_prefix: str) -> Document:
        """See :meth:`llmflow.ingestion.pipeline.Ingester.delete`."""
        with self.tracer.acting(scope):
            return self.ingester.delete(scope, id_or_prefix)

    def embedder_due(self) -> bool:
        """See :meth:`llmflow.ingestion.training.EmbedderTrainer.due`."""
        return self.trainer.due()

    def train_embedder(self, progress: Callable[[int, int], None] | None = None) -> Trained | None:
        """See :meth:`llmflow.ingestion.training.EmbedderTrainer.train`."""
        operator = Scope(self.settings.tenant, (self.settings.department,))
        with self.tracer.acting(operator), self.tracer.observe("train-embedder", kind="chain") as trace:
            trained = self.trainer.train(progress)
            trace.update(output=trained and trained.version)
            return trained

    def reindex(self, progress: Progress | None = None) -> Reindexed:
        """See :func:`llmflow.ingestion.reindexing.reindex`."""
        operator = Scope(self.settings.tenant, (self.settings.department,))
        with self.tracer.acting(operator), self.tracer.observe("reindex", kind="chain") as trace:
            settings = self.settings.embedder
            indexer = self._indexer(None)
            trainer = EmbedderTrainer(self.settings.models_dir, settings, indexer)
            done = reindex(indexer, trainer, self.embedding_model, settings, progress)
            trace.update(output=done.after)
            return done

    def rebuild_graph(self, progress: Progress | None = None) -> tuple[int, dict[str, tuple[str, ...]]]:
        """Make the graph anew of the stored chunks of everybody.

        Returns:
            How many documents are in it, and the warnings of those that have some, by id.

        Raises:
            ConflictError: the graph is switched off.
        """
        if self.linker is None:
            raise ConflictError("there is no graph: graph.enabled is false", param="graph.enabled")
        operator = Scope(self.settings.tenant, (self.settings.department,))
        with self.tracer.acting(operator), self.tracer.observe("rebuild-graph", kind="chain") as trace:
            documents: dict[str, list[Chunk]] = {}
            for row in self.vectors.rows():
                documents.setdefault(row.chunk.document_id, []).append(row.chunk)
            parts = [sorted(chunks, key=lambda chunk: chunk.ordinal) for chunks in documents.values()]
            warnings = {}
            for number, (document_id, missing) in enumerate(self.linker.rebuild(parts), 1):
                if missing:
                    warnings[document_id] = missing
                if progress:
                    progress(number, len(parts))
            trace.update(output={"documents": len(parts), "warnings": len(warnings)})
            return len(parts), warnings

    def search(
        self,
        scope: Scope,
        question: str,
        top_k: int | None = None,
        threshold: float | None = None,
        documents: frozenset[str] | None = None,
        rerank: RerankMode | None = None,
        explain: bool = False,
    ) -> RetrievalResult:
        """See :meth:`llmflow.retrieval.pipeline.Retriever.retrieve`."""
        with (
            self.tracer.acting(scope),
            self.tracer.observe("search", kind="chain", input=self.masker.mask(question).text),
        ):
            return self.retriever.retrieve(scope, question, top_k, threshold, documents, rerank, explain)

    def remember(
        self,
        scope: Scope,
        question: str,
        accepted: Sequence[Accepted],
        origin: Origin,
        trace_id: str | None = None,
    ) -> tuple[Memory, ...]:
        """Passages that are right for a question, for similar ones to come; see :class:`MemoryStore`."""
        masked = self.masker.mask(question).text
        return self.memories.remember(scope, masked, question_terms(analyze_query(masked)), accepted, origin, trace_id)

    def rank(self, scope: Scope, question: str, texts: Sequence[str], mode: RerankMode | None = None) -> TextRanking:
        """See :meth:`llmflow.retrieval.texts.TextRanker.rank`."""
        return self.text_ranker.rank(scope.tenant, question, texts, mode)

    def embed(self, texts: Sequence[str]) -> Embedded:
        """Vectors of texts by the embedder of the stored documents.

        Raises:
            ConflictError: there is none yet.
            UpstreamError: the model's server failed.
        """
        embedder = self.indexer.embedder
        if embedder is None:
            raise ConflictError(
                "there is no embedder: embedder.provider is none, or its training waits for"
                f" {self.settings.embedder.training.min_chunks:,} chunks (embedder.training.min_chunks)",
                param="model",
            )
        terms = (encode(AnalyzedText(tuple(body)), self.settings.retrieval).chunk for body in analyze(texts))
        return embedder.documents([EmbedderInput(text, each) for text, each in zip(texts, terms, strict=True)])

    def ask(self, scope: Scope, question: str, top_k: int | None = None) -> Answer:
        """Retrieve and answer."""
        *_, last = self.ask_streaming(scope, question, top_k)
        assert isinstance(last, Finished)
        return last.answer

    @in_own_context
    def ask_streaming(
        self,
        scope: Scope,
        question: str,
        top_k: int | None = None,
        *,
        cache: bool = False,
        history: Sequence[Message] = (),
    ) -> Iterator[AnswerEvent]:
        """Retrieve and answer, the answer as it is made; the last event holds all of it.

        Args:
            cache: take an answer given before to a question that says the same; not where an LLM
                would read a history.
            history: what was said before, for the LLM to understand the question by.
        """
        masked = self.masker.mask(question)
        with (
            self.tracer.acting(scope),
            self.tracer.observe("ask", kind="chain", input=masked.text) as trace,
        ):
            personal = bool(masked.entities)
            model = self.settings.llm.model if self.settings.llm.base_url else None
            found = Lookup("bypass")
            if cache and not (history and self.settings.llm.base_url):
                with self.tracer.observe("cache") as step:
                    found = self.cache.lookup(scope, question, personal=personal, top_k=top_k, model=model)
                    step.update(output=found.outcome)
            if found.answer is not None:
                trace.update(metadata=_cited(found.answer))
                yield TextDelta(found.answer.text)
                yield Finished(replace(found.answer, trace_id=trace.trace_id), found.outcome)
                return
            for event in self._answer(scope, question, top_k, history):
                if isinstance(event, Finished):
                    answer = event.answer
                    left_out = found.degradation
                    if found.outcome == "miss":
                        left_out = self.cache.remember(
                            scope, question, answer, personal=personal, top_k=top_k, model=model
                        )
                    if left_out:
                        answer = replace(answer, degradations=(*answer.degradations, left_out))
                    trace.update(output=answer.mode, metadata=_cited(answer))
                    event = Finished(answer, found.outcome)
                yield event

    def _answer(
        self, scope: Scope, question: str, top_k: int | None, history: Sequence[Message]
    ) -> Iterator[AnswerEvent]:
        result = self.retriever.retrieve(scope, question, top_k)
        with self.tracer.observe("answer", kind="generation") as step:
            for event in self.answerer.stream(question, result, history):
                if isinstance(event, Finished):
                    step.update(output=event.answer.text, metadata=event.answer.timings_ms)
                yield event

    def close(self) -> None:
        """Release what was opened; traces are written out."""
        opened = self.__dict__
        parts = ("trainer", "retriever", "text_ranker", "worker", "graph", "vectors", "database", "keyvalue", "tracer")
        for name in parts:
            if (part := opened.pop(name, None)) is not None:
                part.close()
        if "ownership" in opened:
            opened.pop("ownership").release()


def _cited(answer: Answer) -> dict[str, list[str]]:
    """What a thumb up will remember the answer's passages by."""
    return {"cited": list(dict.fromkeys(citation.chunk_id for citation in answer.citations))}
