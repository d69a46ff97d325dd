"""What each reranking method costs on vLLM: seconds, requests and tokens a question. `make bench-rerank` calls it.

    python -m evaluation.rerank_cost --server tests/vllm/vllm_server.py

A random model of two layers on the CPU stands in for the student: costs depend on the prompts and on how
many tokens are generated, not on what they say. Nor does a random model end an order of itself; vLLM holds
every permutation to as many numbers as there are passages (see llmflow.retrieval.reranking.permutation), so
that it writes as much as a trained student. What the orders are worth is not measured here.

Every method gets the same questions and passages. vLLM keeps prefixes of earlier prompts, so each
method gets the passages of a question in an order of its own, no two questions share passages, and one
question of each kind comes first that does not count: only what a method shares within one question
is found in that cache. Methods take turns at each question, so that a busy machine slows all of them.
"""

from __future__ import annotations

import random
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from evaluation.tables import Table, machine
from llmflow.korean import count_tokens, sentences
from llmflow.models.llm import LLMClient
from llmflow.retrieval.reranking import Reranking, build_reranker
from llmflow.settings import LLMSettings, RerankerSettings

METHODS: dict[str, dict[str, Any]] = {
    "permutation (RankGPT)": {"method": "permutation"},
    "listwise, one token": {"method": "listwise", "margin": 0},
    "listwise, asked twice": {"method": "listwise", "margin": 1},
    "pointwise": {"method": "pointwise"},
    "setwise": {"method": "setwise"},
}
"""Settings by name; the others are compared with the first."""

_SIZES = (20, 100)
_PASSAGE_TOKENS = 100
_SOURCES = Path(__file__).resolve().parents[1] / "samples" / "source"
_START_S = 600


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds of each question and, a question in the mean, requests and tokens."""

    seconds: list[float]
    requests: float
    prompt_tokens: float
    completion_tokens: float


app = typer.Typer(add_completion=False)


@app.command()
def main(
    server: Annotated[Path, typer.Option(help="Program that serves the model and prints '... serves ...'.")],
    folder: Annotated[Path, typer.Option(help="Where it writes the model.")] = Path("build/bench-rerank"),
    hidden: Annotated[int, typer.Option(help="Width of the model.")] = 64,
    layers: Annotated[int, typer.Option(help="Layers of the model.")] = 2,
    questions: Annotated[int, typer.Option(min=1, help="Questions that count.")] = 15,
) -> None:
    """Measure every method on 20 and 100 passages; prints tables."""
    console = Console(width=120)
    with serving(server, folder, hidden, layers) as url:
        llm = LLMClient(LLMSettings(base_url=f"{url}/v1", model="base", timeout_s=300, retries=0))
        for size in _SIZES:
            table = tabulate(size, measure(llm, size, questions))
            console.print(table.rich())
    console.print(f"{machine()}; a random model of {layers} layers, width {hidden}; median of {questions} questions")


def measure(llm: LLMClient, size: int, questions: int) -> dict[str, Cost]:
    """Costs by the name of the method, of reranking ``size`` passages."""
    # Shorter passages than the limit are not cut: what is measured is the model.
    rerankers = {
        name: build_reranker(RerankerSettings(**settings, passage_tokens=2 * _PASSAGE_TOKENS), llm)
        for name, settings in METHODS.items()
    }
    seconds: dict[str, list[float]] = {name: [] for name in METHODS}
    results: dict[str, list[Reranking]] = {name: [] for name in METHODS}
    for number in range(questions + 1):  # the first warms up, and looks the labels up
        draw = random.Random(f"{size} {number}")
        query, texts = (
            f"규정 {number}호에 따르면 {draw.randint(2, 99)}일 전에 신청할 것은 무엇인가요?",
            passages(size, draw),
        )
        for name in draw.sample(list(METHODS), len(METHODS)):
            shown = random.Random(f"{name} {number}").sample(texts, size)
            start = time.perf_counter()
            result = rerankers[name].rerank(query, shown, time.monotonic() + _START_S)
            if number:
                seconds[name].append(time.perf_counter() - start)
                results[name].append(result)
    return {
        name: Cost(
            seconds[name],
            statistics.fmean(result.requests for result in found),
            statistics.fmean(result.prompt_tokens for result in found),
            statistics.fmean(result.completion_tokens for result in found),
        )
        for name, found in results.items()
    }


def passages(count: int, draw: random.Random) -> list[str]:
    """Passages of about ``_PASSAGE_TOKENS`` each, of sentences drawn from the sample documents."""
    texts = [path.read_text(encoding="utf-8") for path in sorted(_SOURCES.iterdir())]
    pool = [text[start:end] for text in texts for start, end in sentences(text)]
    found = []
    for number in range(count):
        passage = f"{draw.randint(1000, 9999)}-{number}."
        while count_tokens(passage) < _PASSAGE_TOKENS:
            passage += " " + draw.choice(pool)[:100]
        found.append(passage)
    return found


def tabulate(size: int, costs: dict[str, Cost]) -> Table:
    """Costs, and how many times those of the first row they are below it."""
    first = next(iter(costs.values()))
    rows = []
    for name, cost in costs.items():
        median = statistics.median(cost.seconds)
        faster = statistics.median(one / other for one, other in zip(first.seconds, cost.seconds, strict=True))
        rows.append((
            name,
            f"{median:.3f}",
            f"{min(cost.seconds):.3f}-{max(cost.seconds):.3f}",
            f"{cost.requests:.1f}",
            f"{cost.prompt_tokens:.0f}",
            f"{cost.completion_tokens:.1f}",
            f"{faster:.1f}",
            f"{first.completion_tokens / cost.completion_tokens:.1f}",
        ))  # fmt: skip
    header = ("method", "seconds", "range", "requests", "prompt tokens", "generated", "x faster", "x fewer generated")
    return Table(f"Reranking {size} passages", header, tuple(rows))


@contextmanager
def serving(program: Path, folder: Path, hidden: int, layers: int) -> Iterator[str]:
    """The URL of a running server; it ends with the block."""
    words = ["--hidden", str(hidden), "--layers", str(layers), "--port", str(_free_port())]
    process = subprocess.Popen(
        [sys.executable, program, folder, *words], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        yield _address(process, words)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def _address(process: subprocess.Popen[str], words: Sequence[str]) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        url, serves, _ = line.partition(" serves ")
        if serves:
            return url
    raise typer.BadParameter(f"the server ended before it served ({' '.join(words)}); see its messages above")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


if __name__ == "__main__":
    app()
