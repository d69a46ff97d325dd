"""What the Dify plugin adds to a call of the server. `make bench-dify` calls it.

    python -m evaluation.bench_dify --python .venv-dify-py312/bin/python

A server on the embedded default holds the sample documents. Each question is retrieved for twice, straight
from the server and by the plugin's tool in a process of its own, taking turns, so that a busy machine slows
both. Then many users ask at once, each the next question as soon as the last is answered.
"""

from __future__ import annotations

import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import httpx
import typer
from rich.console import Console
from rich.progress import track

from dify_plugins.tooling.daemon import PluginError, PluginProcess
from evaluation.tables import Table, machine

_ROOT = Path(__file__).resolve().parents[1]
_SAMPLES = _ROOT / "samples"
_DEPARTMENT = "shared"
_READY = "the page and the API are at "

Call = Callable[[str], None]
"""Retrieves for a question; raises where there is no result."""

app = typer.Typer(add_completion=False)


@app.command()
def main(
    python: Annotated[Path, typer.Option(help="An interpreter with the plugin's requirements.")],
    calls: Annotated[int, typer.Option(min=10, help="Questions one after another.")] = 300,
    users: Annotated[int, typer.Option(min=1, help="Users at once.")] = 50,
    each: Annotated[int, typer.Option(min=1, help="Questions of each of them.")] = 10,
) -> None:
    """Measure retrieval through the plugin beside the server's own; prints tables."""
    console = Console(width=120)
    questions = [json.loads(line)["question"] for line in (_SAMPLES / "questions.jsonl").open(encoding="utf-8")]
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(Path(folder)) as (url, key),
        httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=60) as client,
        PluginProcess(_ROOT / "dify_plugins" / "llmflow", python) as plugin,
    ):
        ways = {"server": _straight(client), "plugin": _through(plugin, url, key)}
        console.print(_one_by_one(ways, questions, calls).rich())
        console.print(_at_once(ways, questions, users, each).rich())
    console.print(machine())


def _straight(client: httpx.Client) -> Call:
    def call(question: str) -> None:
        answer = client.post("/v1/retrieve", json={"query": question, "top_k": 5})
        answer.raise_for_status()
        answer.json()

    return call


def _through(plugin: PluginProcess, url: str, key: str) -> Call:
    credentials = {"base_url": url, "api_key": key, "language": "ko", "timeout_s": "60"}

    def call(question: str) -> None:
        messages = plugin.invoke_tool("llmflow", "retrieve", credentials, {"query": question, "top_k": 5})
        if not any(message["type"] == "json" for message in messages):
            raise PluginError("NoResult", "no json message", {})

    return call


def _one_by_one(ways: dict[str, Call], questions: Sequence[str], calls: int) -> Table:
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    asked = itertools.islice(itertools.cycle(questions), calls + 10)
    for number, question in enumerate(track(list(asked), "one by one")):
        for name in sorted(ways, reverse=bool(number % 2)):
            start = time.perf_counter()
            ways[name](question)
            if number >= 10:  # the first warm up
                seconds[name].append(time.perf_counter() - start)
    base = [statistics.median(seconds["server"]), _percentile(seconds["server"], 95)]
    rows = []
    for name, found in seconds.items():
        median, p95 = statistics.median(found), _percentile(found, 95)
        added = [f"{(mine - its) * 1000:+.1f}" for mine, its in zip((median, p95), base, strict=True)]
        rows.append((name, f"{median * 1000:.1f}", f"{p95 * 1000:.1f}", *added, f"{median / base[0]:.2f}"))
    header = ("retrieve, top 5", "p50 ms", "p95 ms", "p50 added", "p95 added", "x p50")
    return Table(f"{calls} calls one after another", header, tuple(rows))


def _at_once(ways: dict[str, Call], questions: Sequence[str], users: int, each: int) -> Table:
    rows = []
    for name, call in ways.items():
        seconds: list[float] = []
        lost: list[str] = []

        def user(number: int, call: Call = call, seconds: list[float] = seconds, lost: list[str] = lost) -> None:
            for turn in range(each):
                start = time.perf_counter()
                try:
                    call(questions[(number + turn) % len(questions)])
                    seconds.append(time.perf_counter() - start)
                except (httpx.HTTPError, PluginError) as error:
                    lost.append(str(error))

        started = time.perf_counter()
        threads = [threading.Thread(target=user, args=(number,)) for number in range(users)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        rate = len(seconds) / (time.perf_counter() - started)
        p50, p95 = statistics.median(seconds), _percentile(seconds, 95)
        figures = (f"{p50 * 1000:.0f}", f"{p95 * 1000:.0f}", f"{rate:.0f}")
        rows.append((name, str(len(seconds)), str(len(lost)), *figures))
        for reason in sorted(set(lost)):
            print(f"{name} lost: {reason}", file=sys.stderr)
    header = ("retrieve, top 5", "answered", "lost", "p50 ms", "p95 ms", "a second")
    return Table(f"{users} users at once, {each} questions each", header, tuple(rows))


def _percentile(values: Sequence[float], percent: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


@contextmanager
def serving(folder: Path) -> Iterator[tuple[str, str]]:
    """Address and a reader's key of a server over the sample documents."""
    settings = {
        "DATA_DIR": str(folder / "data"),
        "SERVER__PORT": "0",
        "AUTH__REQUESTS_PER_MINUTE": "1000000",
        "AUTH__BURST": "1000000",
    }
    env = {**os.environ, **{f"LLMFLOW_{name}": value for name, value in settings.items()}}
    program = [sys.executable, "-m", "llmflow.cli.main"]

    def command(*words: str) -> str:
        done = subprocess.run([*program, *words], env=env, cwd=folder, stdout=subprocess.PIPE, text=True, check=True)
        return done.stdout

    command("ingest", str(_SAMPLES / "documents"), "--department", _DEPARTMENT)
    key = json.loads(command("keys", "create", "--departments", _DEPARTMENT, "--json"))["key"]
    server = subprocess.Popen([*program, "serve"], env=env, cwd=folder, stderr=subprocess.PIPE, text=True)
    try:
        assert server.stderr is not None
        address = next(line.split(_READY)[1].split()[0] for line in server.stderr if _READY in line)
        threading.Thread(target=server.stderr.read, daemon=True).start()
        yield address.rstrip("/"), key
    finally:
        server.terminate()
        server.wait(60)


if __name__ == "__main__":
    app()
