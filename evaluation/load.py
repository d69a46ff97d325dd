"""How a running server holds up: many clients that ask, search and upload at once.

    python -m evaluation.load http://127.0.0.1:8080 --key KEY --clients 50 --seconds 60 questions.jsonl

Every client sends one request after the other: of ten, four ask, five search and one uploads
a small document of its own. At the end every document taken in must become ready and be found.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
import uuid
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import httpx
import numpy as np
import typer
from rich.console import Console
from rich.table import Table

_MIX = ("answer",) * 4 + ("retrieve",) * 5 + ("upload",)
_SETTLE_S = 300.0


@dataclass
class Seen:
    """What the clients saw."""

    times_ms: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    errors: Counter[str] = field(default_factory=Counter)
    errors_by_second: Counter[int] = field(default_factory=Counter)
    uploaded: dict[str, str] = field(default_factory=dict)
    """Document id -> the word only that document holds."""


def main(
    url: Annotated[str, typer.Argument(help="Address of the server.")],
    questions: Annotated[Path, typer.Argument(help="Questions, a JSON object with `question` or `text` a line.")],
    key: Annotated[str, typer.Option(help="A key of the role editor.")],
    clients: Annotated[int, typer.Option(help="Clients at once.")] = 50,
    seconds: Annotated[float, typer.Option(help="Seconds of load.")] = 60.0,
    cache: Annotated[bool, typer.Option(help="Let answers come from the cache.")] = False,
    out: Annotated[Path | None, typer.Option("--json", help="Write the figures to this file.")] = None,
) -> None:
    """Put a server under load; prints requests a second, p50 and p95 in milliseconds, and errors."""
    lines = [json.loads(line) for line in questions.read_text(encoding="utf-8").splitlines() if line.strip()]
    texts = [line.get("question") or line["text"] for line in lines]
    seen = Seen()
    report = asyncio.run(_run(url, key, texts, clients, seconds, cache, seen))
    _print(report, seen)
    if out:
        out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    if report["lost"]:
        raise typer.Exit(1)


async def _run(
    url: str, key: str, questions: list[str], clients: int, seconds: float, cache: bool, seen: Seen
) -> dict[str, Any]:
    limits = httpx.Limits(max_connections=clients, max_keepalive_connections=clients)
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, limits=limits, timeout=150, trust_env=False) as http:
        started = time.monotonic()
        await asyncio.gather(
            *(_client(http, number, questions, started, seconds, cache, seen) for number in range(clients))
        )
        elapsed = time.monotonic() - started
        lost = await _lost(http, seen.uploaded)
    total = sum(len(times) for times in seen.times_ms.values())
    return {
        "clients": clients,
        "seconds": round(elapsed, 1),
        "requests_per_second": round(total / elapsed, 1),
        "kinds": {
            kind: {
                "count": len(times),
                "p50_ms": round(float(np.median(times)), 1),
                "p95_ms": round(float(np.quantile(times, 0.95)), 1),
            }
            for kind, times in sorted(seen.times_ms.items())
        },
        "errors": dict(seen.errors),
        "seconds_with_errors": sorted(seen.errors_by_second),
        "uploaded": len(seen.uploaded),
        "settled_s": round(time.monotonic() - started - elapsed, 1),
        "lost": lost,
    }


async def _client(
    http: httpx.AsyncClient,
    number: int,
    questions: list[str],
    started: float,
    seconds: float,
    cache: bool,
    seen: Seen,
) -> None:
    chance = random.Random(number)
    while (now := time.monotonic() - started) < seconds:
        kind = chance.choice(_MIX)
        word = f"표식{uuid.uuid4().hex[:10]}"
        at = time.perf_counter()
        try:
            response = await _request(http, kind, chance.choice(questions), word, cache)
        except httpx.TransportError as error:
            seen.errors[f"{kind} {type(error).__name__}"] += 1
            seen.errors_by_second[int(now)] += 1
            await asyncio.sleep(0.5)
            continue
        if response.is_success:
            seen.times_ms[kind].append((time.perf_counter() - at) * 1000)
            if kind == "upload":
                seen.uploaded[response.json()["documents"][0]["id"]] = word
        else:
            seen.errors[f"{kind} {response.status_code} {_code(response)}"] += 1
            seen.errors_by_second[int(now)] += 1
            await asyncio.sleep(float(response.headers.get("retry-after", 0.5)))


async def _request(http: httpx.AsyncClient, kind: str, question: str, word: str, cache: bool) -> httpx.Response:
    if kind == "answer":
        return await http.post("/v1/answer", json={"question": question, "cache": cache})
    if kind == "retrieve":
        return await http.post("/v1/retrieve", json={"query": question})
    text = f"# {word} 지침\n\n{word}의 담당 부서는 총무팀이며 한도는 {len(word)}만원이다.\n"
    return await http.post("/v1/documents", files={"files": (f"{word}.md", text.encode(), "text/markdown")})


async def _lost(http: httpx.AsyncClient, uploaded: dict[str, str]) -> list[str]:
    """Documents that were taken in but did not become ready, or are not found."""
    waiting = dict(uploaded)
    deadline = time.monotonic() + _SETTLE_S
    while waiting and time.monotonic() < deadline:
        for id_ in list(waiting):
            response = await http.get(f"/v1/documents/{id_}")
            if response.is_success and response.json()["document"]["status"] == "ready":
                found = await http.post("/v1/retrieve", json={"query": waiting[id_], "threshold": 0, "top_k": 3})
                hits = found.json().get("candidates", []) if found.is_success else []
                if any(hit["chunk"]["document_id"] == id_ for hit in hits):
                    del waiting[id_]
            elif response.status_code == 429:
                await asyncio.sleep(1)
        if waiting:
            await asyncio.sleep(0.5)
    return sorted(waiting)


def _code(response: httpx.Response) -> str:
    try:
        return str(response.json()["error"]["code"])
    except (ValueError, KeyError, TypeError):
        return "?"


def _print(report: dict[str, Any], seen: Seen) -> None:
    table = Table("kind", "requests", "p50 ms", "p95 ms", title=f"{report['clients']} clients, {report['seconds']} s")
    for kind, row in report["kinds"].items():
        table.add_row(kind, f"{row['count']:,}", f"{row['p50_ms']:,}", f"{row['p95_ms']:,}")
    console = Console(width=120)
    console.print(table)
    console.print(f"{report['requests_per_second']} requests/s; errors: {report['errors'] or 'none'}")
    if report["seconds_with_errors"]:
        console.print(f"seconds with errors: {report['seconds_with_errors']}")
    console.print(
        f"{report['uploaded']} documents taken in, all ready and found {report['settled_s']} s after the load"
        if not report["lost"]
        else f"LOST: {report['lost']}"
    )


if __name__ == "__main__":
    typer.run(main)
