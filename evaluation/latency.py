"""How fast search is in one process, by corpus size and number of threads, and where time goes.

    python -m evaluation.latency DIR [DIR ...] --split dev --chunks 15000 50000 --threads 1 8

The corpora of the BEIR folders are indexed one after the other, from the start again when
they run out, until there are enough chunks; questions are those of the first folder.
"""

from __future__ import annotations

import itertools
import json
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from evaluation.beir import load
from evaluation.retrieval import SCOPE, chunk_record, isolated
from llmflow.runtime import Runtime
from llmflow.settings import load_settings

_BATCH = 500
_QUESTIONS = 200


def main(
    folders: Annotated[list[Path], typer.Argument(help="BEIR folders.")],
    split: Annotated[str, typer.Option(help="Split of the first folder the questions are from.")] = "dev",
    chunks: Annotated[list[int], typer.Option(help="Corpus sizes, ascending.")] = [15_000, 50_000],  # noqa: B006
    threads: Annotated[list[int], typer.Option(help="Numbers of threads that search at once.")] = [1, 8],  # noqa: B006
    out: Annotated[Path | None, typer.Option("--json", help="Write the figures to this file.")] = None,
) -> None:
    """Measure search in process; prints p50 and p95 in milliseconds."""
    questions = list(load(folders[0], split).queries.values())[:_QUESTIONS]
    report: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="llmflow-latency-") as scratch:  # noqa: SIM117
        with Runtime(isolated(load_settings(), Path(scratch), tracing=True)) as runtime:
            source = chunks_of(runtime, folders)
            size = 0
            for wanted in chunks:
                while size < wanted:
                    batch = list(itertools.islice(source, min(_BATCH, wanted - size)))
                    runtime.indexer.add(SCOPE, runtime.indexer.encode(batch))
                    size += len(batch)
                    print(f"\rindexed {size:,}", end="", file=sys.stderr, flush=True)
                runtime.vectors.flush()
                print("\ntraining the embedder", file=sys.stderr, flush=True)
                runtime.train_embedder()
                for number in threads:
                    report.append({"chunks": size, "threads": number, **_measure(runtime, questions, number)})
                    print(json.dumps(report[-1]), file=sys.stderr, flush=True)
    _print(report)
    if out:
        out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def chunks_of(runtime: Runtime, folders: list[Path]) -> Any:
    for turn in itertools.count():
        for folder in folders:
            split = next(path.stem for path in sorted((folder / "qrels").glob("*.tsv")))
            for record in load(folder, split).corpus:
                yield from chunk_record(runtime, replace(record, id=f"{turn}-{folder.name}-{record.id}"))


def _measure(runtime: Runtime, questions: list[str], threads: int) -> dict[str, Any]:
    stages: dict[str, list[float]] = {}

    def ask(question: str) -> float:
        started = time.perf_counter()
        result = runtime.search(SCOPE, question)
        elapsed = (time.perf_counter() - started) * 1000
        for stage, value in result.timings_ms.items():
            stages.setdefault(stage, []).append(value)
        return elapsed

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(ask, questions[:20]))
        stages.clear()
        started = time.perf_counter()
        times = list(pool.map(ask, questions))
        seconds = time.perf_counter() - started
    return {
        "p50_ms": round(float(np.median(times)), 2),
        "p95_ms": round(float(np.quantile(times, 0.95)), 2),
        "queries_per_second": round(len(questions) / seconds, 1),
        "stages_p50_ms": {stage: round(float(np.median(values)), 2) for stage, values in stages.items()},
    }


def _print(report: list[dict[str, Any]]) -> None:
    stages = list(report[0]["stages_p50_ms"])
    table = Table("chunks", "threads", "p50 ms", "p95 ms", "queries/s", *stages, title="search in process")
    for row in report:
        table.add_row(
            f"{row['chunks']:,}", str(row["threads"]), f"{row['p50_ms']:.1f}", f"{row['p95_ms']:.1f}",
            f"{row['queries_per_second']:.1f}", *(f"{row['stages_p50_ms'].get(stage, 0):.1f}" for stage in stages),
        )  # fmt: skip
    Console(width=160).print(table)


if __name__ == "__main__":
    typer.run(main)
