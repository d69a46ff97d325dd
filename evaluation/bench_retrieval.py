"""Retrieval beside LlamaIndex and Haystack: the same corpus, machine and run. `make bench-retrieval` calls it.

    python -m evaluation.bench_retrieval [SET ...] --peers .venv-peers/bin/python --page docs/benchmarks.md

Each set is indexed once. LlamaIndex and Haystack get the chunks, and the vectors of chunks and questions, that
LLMFlow made; they run one after the other in a process of their own.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console

from evaluation.baselines import bm25_kiwi, bm25_whitespace
from evaluation.beir import Dataset, load
from evaluation.metrics import evaluate_run
from evaluation.peers import run_peers
from evaluation.retrieval import SCOPE, Progress, Searched, build, isolated, leg_runs, search
from evaluation.tables import Table, machine, replace_section
from llmflow import __version__
from llmflow.cli.output import progress_bar
from llmflow.retrieval.legs import GRAPH
from llmflow.runtime import Runtime
from llmflow.settings import Settings, load_settings

SETS = {
    "ko_statute_cite": "dev",
    "ko_precedent_cite": "dev",
    "ko_strategyqa_facts": "dev",
    "ko_autorag": "test",
    "en_scifact": "test",
    "en_hotpotqa_100": "test",
}
"""Folders of the evaluation data and the split of each."""

VARIANTS: dict[str, dict[str, Any]] = {
    "LLMFlow": {},
    "LLMFlow, fusion: rrf": {"fusion": "rrf"},
    "LLMFlow, fusion: minmax": {"fusion": "minmax"},
}
_WITHOUT_GRAPH: dict[str, dict[str, Any]] = {"LLMFlow, without the graph": {"graph_weight": 0.0}}
_SECTION = "retrieval"
_TOP_K = 10
_QUERIES = 200
_TIMED = 50
_SEED = 13


@dataclass(frozen=True, slots=True)
class SetReport:
    """What was measured on one set.

    ``quality`` holds metrics by system, ``timings_ms`` milliseconds of single questions by system, and
    ``stages_ms`` those of LLMFlow's stages.
    """

    dataset: str
    split: str
    queries: int
    queries_of: int
    documents: int
    chunks: int
    index_seconds: float
    train_seconds: float
    quality: dict[str, dict[str, float]]
    timings_ms: dict[str, list[float]]
    stages_ms: dict[str, list[float]]
    degraded: int
    versions: dict[str, str]


app = typer.Typer(add_completion=False)


@app.command()
def main(
    sets: Annotated[list[str] | None, typer.Argument(help="Sets to measure on; default: all of them.")] = None,
    data: Annotated[Path | None, typer.Option(envvar="LLMFLOW_EVAL_DATA", help="Folder of the sets.")] = None,
    queries: Annotated[int, typer.Option(min=1, help="Questions of each set at most, drawn at random.")] = _QUERIES,
    peers: Annotated[Path | None, typer.Option(help="Python of the peers' environment; default: no peers.")] = None,
    page: Annotated[Path | None, typer.Option(help="Markdown page to write the tables to.")] = None,
) -> None:
    """Measure quality and speed of retrieval; prints tables."""
    if data is None or not data.is_dir():
        raise typer.BadParameter("set LLMFLOW_EVAL_DATA to the folder that holds the sets", param_hint="--data")
    if unknown := set(sets or ()) - set(SETS):
        raise typer.BadParameter(f"{', '.join(sorted(unknown))}; known are {', '.join(SETS)}", param_hint="SETS")
    reports: list[SetReport] = []
    for name in sets or SETS:
        with progress_bar() as show:
            reports.append(bench_set(data / name, SETS[name], load_settings(), queries, peers, show))
        if page is not None:  # after each set: the run is long
            caption = _caption(reports, sets, queries)
            replace_section(page, _SECTION, [caption, *(table.markdown() for table in tables(reports))])
    console = Console(width=max(100, 40 + 16 * len(reports)))
    for table in tables(reports):
        console.print(table.rich())


def bench_set(
    folder: Path, split: str, settings: Settings, queries: int, peers: Path | None, progress: Progress
) -> SetReport:
    """Index a set once and measure every system on it.

    Args:
        queries: questions at most; a random sample of them, the same in every run.
        peers: the interpreter of the peers' environment; None for LLMFlow and BM25 alone.

    Raises:
        InvalidInputError: the folder is not a BEIR set or lacks the split.
    """
    full = load(folder, split)
    data = sample(full, queries)
    timed = list(data.queries)[:_TIMED]
    with tempfile.TemporaryDirectory(prefix="llmflow-bench-") as scratch:  # noqa: SIM117
        with Runtime(isolated(settings, Path(scratch), tracing=False)) as runtime:
            index_seconds, train_seconds = build(runtime, data, progress)
            chunks = len(runtime.indexer.index.view(SCOPE))
            legs = leg_runs(runtime, data, timed)
            variants = VARIANTS | (_WITHOUT_GRAPH if GRAPH in legs else {})
            systems = {
                name: _search_with(runtime, settings, changed, data, timed, progress)
                for name, changed in variants.items()
            }
            taken = systems["LLMFlow"].timings_ms
            stages = {name: taken[name] for name in taken if name not in legs}
            stages |= {f"legs: {name}": taken[name] for name in legs if name in taken}
            systems |= {f"LLMFlow, {name} alone": leg for name, leg in legs.items()}
            for name, baseline in (("kiwi morphemes", bm25_kiwi), ("words at white space", bm25_whitespace)):
                systems[f"bm25s: {name}"] = Searched(baseline(data), {"total": []}, 0)
            versions = {"llmflow": __version__}
            if peers is not None:
                others, their_versions = run_peers(peers, runtime, data, timed, _TOP_K)
                systems |= others
                versions |= their_versions
    return SetReport(
        dataset=data.name,
        split=split,
        queries=len(data.queries),
        queries_of=len(full.queries),
        documents=len(data.corpus),
        chunks=chunks,
        index_seconds=index_seconds,
        train_seconds=train_seconds,
        quality={name: evaluate_run(data.qrels, system.run) for name, system in systems.items()},
        timings_ms={name: system.timings_ms["total"] for name, system in systems.items()},
        stages_ms=stages,
        degraded=sum(system.degraded for system in systems.values()),
        versions=versions,
    )


def sample(data: Dataset, queries: int) -> Dataset:
    """The set with at most so many questions, drawn at random but the same each time, in random order."""
    drawn = random.Random(_SEED).sample(sorted(data.queries), min(queries, len(data.queries)))
    return replace(
        data, queries={id_: data.queries[id_] for id_ in drawn}, qrels={id_: data.qrels[id_] for id_ in drawn}
    )


def _search_with(
    runtime: Runtime,
    settings: Settings,
    changed: dict[str, Any],
    data: Dataset,
    timed: Sequence[str],
    progress: Progress,
) -> Searched:
    """Search the same index with other retrieval settings."""
    runtime.retriever.close()
    del runtime.retriever, runtime.legs, runtime.head  # made anew, of the settings
    retrieval = settings.retrieval.model_copy(update=changed)
    runtime.settings = runtime.settings.model_copy(update={"retrieval": retrieval})
    return search(runtime, data, progress, timed, _TOP_K)


def tables(reports: Sequence[SetReport]) -> list[Table]:
    """The sets, quality, speed and LLMFlow's stages; a column a set."""
    header = tuple(report.dataset for report in reports)
    systems = dict.fromkeys(name for report in reports for name in report.quality)
    stages = dict.fromkeys(name for report in reports for name in report.stages_ms)
    facts = {
        "split": [report.split for report in reports],
        "questions": [f"{report.queries:,} of {report.queries_of:,}" for report in reports],
        "documents": [f"{report.documents:,}" for report in reports],
        "chunks": [f"{report.chunks:,}" for report in reports],
        "seconds to index": [f"{report.index_seconds:.0f}" for report in reports],
        "seconds to train the embedder": [f"{report.train_seconds:.0f}" for report in reports],
    }
    return [
        Table("Sets", ("", *header), tuple((name, *cells) for name, cells in facts.items())),
        Table(
            "Quality: nDCG@10 / recall@100",
            ("system", *header),
            tuple((name, *(_quality(report.quality.get(name)) for report in reports)) for name in systems),
        ),
        Table(
            f"Milliseconds to the first {_TOP_K} chunks: p50 / p95",
            ("system", *header),
            tuple(
                (name, *(_times(report.timings_ms.get(name)) for report in reports))
                for name in systems
                if any(report.timings_ms.get(name) for report in reports)
            ),
        ),
        Table(
            "Milliseconds of LLMFlow's stages: p50 / p95",
            ("stage", *header),
            tuple((name, *(_times(report.stages_ms.get(name)) for report in reports)) for name in stages),
        ),
    ]


def _quality(values: dict[str, float] | None) -> str:
    return f"{values['ndcg@10']:.3f} / {values['recall@100']:.3f}" if values else "–"


def _times(values: list[float] | None) -> str:
    return f"{np.median(values):.1f} / {np.quantile(values, 0.95):.1f}" if values else "–"


def _caption(reports: Sequence[SetReport], sets: Sequence[str] | None, queries: int) -> str:
    command = "make bench-retrieval"
    command += " SETS='" + " ".join(sets) + "'" if sets else ""
    command += f" QUERIES={queries}" if queries != _QUERIES else ""
    versions = {name: version for report in reports for name, version in report.versions.items()}
    lines = [
        f"`{command}`, {datetime.now(UTC):%Y-%m-%d}; {machine()};",
        f"{', '.join(f'{name} {version}' for name, version in versions.items())}.",
    ]
    if degraded := sum(report.degraded for report in reports):
        lines.append(f"{degraded} searches of LLMFlow had to do without one of its stages.")
    return "\n".join(lines)


if __name__ == "__main__":
    app()
