"""What the interfaces call."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from llmflow.errors import ConflictError
from llmflow.generation.answer import AnswerEvent, Finished, TextDelta
from llmflow.generation.cache import Lookup, question_vector
from llmflow.ingestion.pipeline import Outcome
from llmflow.ingestion.reindexing import Reindexed, reindex
from llmflow.ingestion.training import EmbedderTrainer, Progress, Trained
from llmflow.korean import AnalyzedText, analyze, normalize
from llmflow.models.embedder import Embedded, EmbedderInput
from llmflow.models.llm import Message
from llmflow.models.sparse import encode
from llmflow.parts import Parts
from llmflow.retrieval.analysis import analyze_query
from llmflow.retrieval.memory import question_terms
from llmflow.retrieval.texts import TextRanking
from llmflow.schema import Answer, Chunk, Document, RerankMode, RetrievalResult, Scope
from llmflow.stores.graph import Neighbourhood
from llmflow.stores.memory import Accepted, Memory, Origin
from llmflow.tracing import in_own_context


class Runtime(Parts):
    """LLMFlow: documents in, passages and answers out. Use as a context manager, or call :meth:`close`.

    Args and errors as :class:`~llmflow.parts.Parts`.
    """

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
            raise _no_graph()
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

    def neighbourhood(self, scope: Scope, entity: str, hops: int, limit: int) -> Neighbourhood:
        """See :meth:`llmflow.stores.graph.GraphStore.neighbourhood`.

        Raises:
            ConflictError: the graph is switched off.
        """
        if self.graph is None:
            raise _no_graph()
        with (
            self.tracer.acting(scope),
            self.tracer.observe("graph", kind="retriever", input=self.masker.mask(entity).text, hops=hops) as trace,
        ):
            found = self.graph.neighbourhood(scope, entity, hops, limit)
            trace.update(output={"chunks": len(found.about) + len(found.mentioned), "relations": len(found.relations)})
            return found

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
        texts = [normalize(text) for text in texts]
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


def _no_graph() -> ConflictError:
    return ConflictError("there is no graph: graph.enabled is false", param="graph.enabled")


def _cited(answer: Answer) -> dict[str, list[str]]:
    """What a thumb up will remember the answer's passages by."""
    return {"cited": list(dict.fromkeys(citation.chunk_id for citation in answer.citations))}
