"""How good and how fast retrieval is on a BEIR set, through LLMFlow's own pipeline.

Each record of the corpus is a document: chunked, encoded, stored in a collection of its
own and searched by the pipeline that serves users, with the settings given. Two things
differ from serving: personal data is not masked (public corpora are about named people) and
the gate is open (threshold 0), as recall is measured. A document scores as its best chunk.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from sqlalchemy import insert

from evaluation.baselines import DEPTH, bm25_kiwi, bm25_whitespace
from evaluation.beir import Dataset, Record, load
from evaluation.metrics import evaluate_run
from llmflow.errors import LLMFlowError
from llmflow.ingestion.chunking import chunk_document
from llmflow.retrieval.analysis import analyze_query
from llmflow.retrieval.memory import question_terms
from llmflow.retrieval.pipeline import MAX_TOP_K
from llmflow.runtime import Runtime
from llmflow.schema import Chunk, Element, ElementType, ParsedDocument, Scope
from llmflow.settings import Settings
from llmflow.stores.index import LegScores, View
from llmflow.stores.memory import Accepted, Origin
from llmflow.stores.tables import DocumentRow

SCOPE = Scope("evaluation", ("corpus",))
WARM_UP = 10
"""Questions put before the time is taken."""
_BATCH = 500

Progress = Callable[[str, int, int], None]
"""Told the name of the step, how much is done and how much there is."""


Found = dict[str, dict[str, float]]


@dataclass(frozen=True, slots=True)
class Searched:
    """What a system found, and the milliseconds it took by stage; ``total`` is from end to end.

    ``degraded`` counts the searches that had to do without one of the stages.
    """

    run: Found
    timings_ms: dict[str, list[float]]
    degraded: int


def evaluate_retrieval(
    folder: Path, split: str, settings: Settings, progress: Progress, memory: str | None = None
) -> dict[str, Any]:
    """Index a set, run its queries and the baselines, and measure.

    Args:
        memory: a split whose judged questions are remembered first.

    Returns:
        ``{"dataset", "split", "queries", "documents", "chunks", "systems": {name: {metric:
        value}}, "timings_ms": {stage: {"p50", "p95"}}, "degraded", "index_seconds", "train_seconds"}``.

    Raises:
        InvalidInputError: the folder is not a BEIR set or lacks the split.
    """
    data = load(folder, split)
    with tempfile.TemporaryDirectory(prefix="llmflow-evaluation-") as scratch:  # noqa: SIM117
        with Runtime(isolated(settings, Path(scratch), tracing=False)) as runtime:
            index_seconds, train_seconds = build(runtime, data, progress)
            if memory is not None:
                remember(runtime, load(folder, memory), progress)
            legs = leg_runs(runtime, data)
            searched = search(runtime, data, progress)
            chunks = len(runtime.indexer.index.view(SCOPE))
    runs = {"llmflow": searched.run, **{name: leg.run for name, leg in legs.items()}}
    runs["bm25_kiwi"] = bm25_kiwi(data)
    runs["bm25_whitespace"] = bm25_whitespace(data)
    return {
        "dataset": data.name,
        "split": split,
        "queries": len(data.queries),
        "documents": len(data.corpus),
        "chunks": chunks,
        "systems": {name: evaluate_run(data.qrels, run) for name, run in runs.items()},
        "timings_ms": {
            stage: {"p50": round(float(np.median(values)), 3), "p95": round(float(np.quantile(values, 0.95)), 3)}
            for stage, values in searched.timings_ms.items()
        },
        "degraded": searched.degraded,
        "index_seconds": round(index_seconds, 2),
        "train_seconds": round(train_seconds, 2),
    }


def print_retrieval_report(console: Console, report: Mapping[str, Any]) -> None:
    """The report as two tables."""
    title = f"{report['dataset']} / {report['split']}: {report['queries']} queries, {report['documents']:,} documents"
    quality = Table("system", *next(iter(report["systems"].values())), title=title)
    for name, values in report["systems"].items():
        quality.add_row(name, *(f"{value:.3f}" for value in values.values()))
    speed = Table(
        "stage", "p50 ms", "p95 ms",
        title=f"{report['chunks']:,} chunks indexed in {report['index_seconds']} s,"
        f" embedder trained in {report['train_seconds']} s",
    )  # fmt: skip
    for stage, values in report["timings_ms"].items():
        speed.add_row(stage, f"{values['p50']:.2f}", f"{values['p95']:.2f}")
    console.print(quality, speed)
    if report["degraded"]:
        console.print(f"{report['degraded']} searches had to do without one of the stages")


def isolated(settings: Settings, folder: Path, *, tracing: bool) -> Settings:
    """The settings with every store in a folder of its own, traces in there too or off."""
    return settings.model_copy(
        update={
            "data_dir": folder,
            "vectors": type(settings.vectors)(),
            "database": type(settings.database)(),
            "objects": type(settings.objects)(),
            "graph": settings.graph.model_copy(update={"uri": None}),
            "tracing": settings.tracing.model_copy(update={"enabled": tracing, "path": None}),
        }
    )


def build(runtime: Runtime, data: Dataset, progress: Progress) -> tuple[float, float]:
    """Index the corpus and train the embedder where it is due; the seconds of each."""
    index_seconds = _index(runtime, data, progress)
    started = time.perf_counter()
    if runtime.embedder_due():
        runtime.train_embedder(lambda done, total: progress("train the embedder", done, total))
    return index_seconds, time.perf_counter() - started


def _index(runtime: Runtime, data: Dataset, progress: Progress) -> float:
    started = time.perf_counter()
    for start in range(0, len(data.corpus), _BATCH):
        records = data.corpus[start : start + _BATCH]
        documents = [list(chunk_record(runtime, record)) for record in records]
        runtime.indexer.add(SCOPE, runtime.indexer.encode([chunk for chunks in documents for chunk in chunks]))
        for chunks in filter(None, documents if runtime.linker else ()):
            _link(runtime, chunks)
        progress("index", min(start + _BATCH, len(data.corpus)), len(data.corpus))
    runtime.vectors.flush()
    return time.perf_counter() - started


def _link(runtime: Runtime, chunks: list[Chunk]) -> None:
    """Write a document's part of the graph."""
    assert runtime.linker is not None
    part, warnings = runtime.linker.extract(chunks)
    warnings += runtime.linker.write(SCOPE, SCOPE.departments[0], part)
    if warnings:
        raise LLMFlowError(f"the graph of {chunks[0].document_id} was not written: {'; '.join(warnings)}")


def remember(runtime: Runtime, data: Dataset, progress: Progress) -> None:
    """Keep a split's questions with the documents that are relevant to them, as if users had accepted these."""
    now = datetime.now(UTC)
    blank = {"name": "", "source": "", "mime_type": "text/plain", "size_bytes": 0, "sha256": ""}
    rows = [
        blank | {"id": record.id, "tenant": SCOPE.tenant, "department": SCOPE.departments[0], "status": "ready",
                 "chunks_count": 0, "entities_count": 0, "warnings": [],
                 "created_at": now, "updated_at": now}
        for record in data.corpus
    ]  # fmt: skip
    with runtime.database.engine.begin() as connection:
        connection.execute(insert(DocumentRow), rows)
    for number, (query, text) in enumerate(data.queries.items(), 1):
        accepted = [Accepted(document) for document, grade in data.qrels[query].items() if grade > 0]
        terms = question_terms(analyze_query(text))
        runtime.memories.remember(SCOPE, text, terms, accepted, Origin.GOLD)
        progress("remember", number, len(data.queries))


def chunk_record(runtime: Runtime, record: Record) -> Iterator[Chunk]:
    """A record's chunks, as the pipeline makes them of a text document."""
    lines = [line for line in record.text.splitlines() if line.strip()] or [record.title]
    parsed = ParsedDocument(
        record.title, "text/plain", tuple(Element(ElementType.NARRATIVE_TEXT, line) for line in lines)
    )
    for chunk in chunk_document(
        parsed,
        runtime.settings.chunking,
        document_id=record.id,
        tenant=SCOPE.tenant,
        department=SCOPE.departments[0],
        document_name=record.id,
    ):
        yield replace(chunk, section_path=(*record.path, *chunk.section_path))


def search(
    runtime: Runtime,
    data: Dataset,
    progress: Progress,
    timed: Collection[str] | None = None,
    top_k: int | None = None,
) -> Searched:
    """Put the questions to the whole pipeline, once to take the time and once deep enough to be judged.

    Args:
        timed: ids of the questions to take the time of; None for all.
        top_k: chunks that a timed search returns; default from the settings.
    """
    run: Found = {}
    timings: dict[str, list[float]] = {}
    degraded = 0
    for text in list(data.queries.values())[:WARM_UP]:
        runtime.search(SCOPE, text, top_k=top_k, threshold=0)
    for query in data.queries if timed is None else timed:
        started = time.perf_counter()
        result = runtime.search(SCOPE, data.queries[query], top_k=top_k, threshold=0)
        timings.setdefault("total", []).append((time.perf_counter() - started) * 1000)
        degraded += bool(result.degradations)
        for stage, value in result.timings_ms.items():
            timings.setdefault(stage, []).append(value)
    deep = deep_top_k(runtime, data)
    for number, (query, text) in enumerate(data.queries.items(), 1):
        result = runtime.search(SCOPE, text, top_k=deep, threshold=0)
        degraded += bool(result.degradations)
        run[query] = best_of_documents(candidate.chunk.document_id for candidate in result.candidates)
        progress("search", number, len(data.queries))
    return Searched(run, timings, degraded)


def leg_runs(runtime: Runtime, data: Dataset, timed: Collection[str] | None = None) -> dict[str, Searched]:
    """Each leg alone, by name; its time is without the analysis of the question."""
    legs: dict[str, Searched] = {}
    view = runtime.indexer.index.view(SCOPE)
    for query, text in data.queries.items():
        for name, leg in runtime.legs.plan(SCOPE, view, analyze_query(text)).items():
            found = legs.setdefault(name, Searched({}, {"total": []}, 0))
            started = time.perf_counter()
            scores = leg()
            if timed is None or query in timed:
                found.timings_ms["total"].append((time.perf_counter() - started) * 1000)
            found.run[query] = _leg_run(view, scores)
    return legs


def deep_top_k(runtime: Runtime, data: Dataset) -> int:
    """How many chunks make :data:`~evaluation.baselines.DEPTH` documents, on average and with some to spare."""
    chunks = len(runtime.indexer.index.view(SCOPE))
    return min(MAX_TOP_K, max(1, round(1.2 * DEPTH * chunks / len(data.corpus))))


def best_of_documents(ranked: Iterable[str]) -> dict[str, float]:
    """The first :data:`~evaluation.baselines.DEPTH` documents of ranked chunks, scored by 1 / rank of their first."""
    return _best((document, 1.0 / rank) for rank, document in enumerate(ranked, 1))


def _leg_run(view: View, leg: LegScores) -> dict[str, float]:
    rows = np.argsort(-leg.scores, kind="stable")[: 5 * DEPTH]
    return _best((view.document_id(int(row)), float(leg.scores[row])) for row in rows if leg.scores[row] > 0)


def _best(scored: Iterable[tuple[str, float]]) -> dict[str, float]:
    best: dict[str, float] = {}
    for document, score in scored:
        if len(best) < DEPTH or document in best:
            best[document] = max(score, best.get(document, score))
    return best
