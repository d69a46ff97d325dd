"""What the server adds to a search: the same questions in process and through ``POST /v1/retrieve``.

    python -m evaluation.overhead DIR [DIR ...] --split dev --chunks 15000 --clients 1 8

The store is built once, as :mod:`evaluation.latency` does; then it is searched in this process
and, after that, by clients of a server that has it. Both trace.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import httpx
import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from evaluation.beir import load
from evaluation.latency import chunks_of
from evaluation.retrieval import SCOPE, isolated
from llmflow.runtime import Runtime
from llmflow.schema import Role
from llmflow.settings import load_settings
from llmflow.stores.ownership import owner_of

_BATCH = 500
_QUESTIONS = 200
_START_S = 180.0

Search = Callable[[str], float]
"""Searches, and says the milliseconds of the stages it was told."""


def main(
    folders: Annotated[list[Path], typer.Argument(help="BEIR folders.")],
    split: Annotated[str, typer.Option(help="Split of the first folder the questions are from.")] = "dev",
    chunks: Annotated[int, typer.Option(help="Size of the corpus.")] = 15_000,
    clients: Annotated[list[int], typer.Option(help="Numbers of callers at once.")] = [1, 8],  # noqa: B006
    out: Annotated[Path | None, typer.Option("--json", help="Write the figures to this file.")] = None,
) -> None:
    """Measure search in process and over HTTP; prints p50 and p95 in milliseconds."""
    questions = list(load(folders[0], split).queries.values())[:_QUESTIONS]
    report: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="llmflow-overhead-") as scratch:
        settings = isolated(load_settings(), Path(scratch), tracing=True)
        with Runtime(settings) as runtime:
            source = itertools.islice(chunks_of(runtime, folders), chunks)
            while batch := list(itertools.islice(source, _BATCH)):
                runtime.indexer.add(SCOPE, runtime.indexer.encode(batch))
            runtime.vectors.flush()
            runtime.train_embedder()
            for number in clients:
                report.append({"way": "in process", "clients": number, **_measure(_local(runtime), questions, number)})
            key, _ = runtime.keys.create(SCOPE.tenant, SCOPE.departments, Role.READER)
        with _server(Path(scratch)) as url, _client(url, key, max(clients)) as http:
            for number in clients:
                report.append({"way": "HTTP", "clients": number, **_measure(_remote(http), questions, number)})
    _print(report)
    if out:
        out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def _local(runtime: Runtime) -> Search:
    return lambda question: sum(_stages(runtime.search(SCOPE, question).timings_ms))


def _remote(http: httpx.Client) -> Search:
    def search(question: str) -> float:
        response = http.post("/v1/retrieve", json={"query": question})
        response.raise_for_status()
        return sum(_stages(response.json()["timings_ms"]))

    return search


def _stages(timings: dict[str, float]) -> Iterator[float]:
    return (timings[stage] for stage in ("analyze", "legs", "fuse", "select"))


def _measure(search: Search, questions: list[str], callers: int) -> dict[str, Any]:
    inside: list[float] = []

    def timed(question: str) -> float:
        started = time.perf_counter()
        inside.append(search(question))
        return (time.perf_counter() - started) * 1000

    with ThreadPoolExecutor(callers) as pool:
        list(pool.map(timed, questions[:20]))
        inside.clear()
        started = time.perf_counter()
        times = list(pool.map(timed, questions))
        seconds = time.perf_counter() - started
    return {
        "p50_ms": round(float(np.median(times)), 2),
        "p95_ms": round(float(np.quantile(times, 0.95)), 2),
        "stages_p50_ms": round(float(np.median(inside)), 2),
        "per_second": round(len(questions) / seconds, 1),
    }


@contextmanager
def _server(data_dir: Path) -> Iterator[str]:
    # Questions are the workload here, not a single client's fair share.
    limits = {"LLMFLOW_AUTH__REQUESTS_PER_MINUTE": "1000000", "LLMFLOW_AUTH__BURST": "1000000"}
    env = {**os.environ, "LLMFLOW_DATA_DIR": str(data_dir), "LLMFLOW_SERVER__PORT": "0", **limits}
    with subprocess.Popen(
        [sys.executable, "-m", "llmflow.cli.main", "serve"], env=env, stderr=subprocess.DEVNULL
    ) as process:
        deadline = time.monotonic() + _START_S
        while not ((owner := owner_of(data_dir)) and owner.url):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the server did not start; try `llmflow serve`")
            time.sleep(0.1)
        try:
            yield owner.url
        finally:
            process.terminate()


def _client(url: str, key: str, connections: int) -> httpx.Client:
    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
    headers = {"Authorization": f"Bearer {key}"}
    return httpx.Client(base_url=url, headers=headers, limits=limits, timeout=60, trust_env=False)


def _print(report: list[dict[str, Any]]) -> None:
    table = Table("way", "callers", "p50 ms", "p95 ms", "of it stages, p50 ms", "searches/s", title="search")
    for row in report:
        table.add_row(
            row["way"], str(row["clients"]), f"{row['p50_ms']:.1f}", f"{row['p95_ms']:.1f}",
            f"{row['stages_p50_ms']:.1f}", f"{row['per_second']:.1f}",
        )  # fmt: skip
    Console(width=120).print(table)


if __name__ == "__main__":
    typer.run(main)
