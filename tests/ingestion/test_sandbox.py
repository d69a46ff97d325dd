"""The sandbox: limits, failures and threads."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from llmflow.errors import DocumentError
from llmflow.ingestion import sandbox
from llmflow.schema import Element, ElementType, FailureReason
from llmflow.settings import ParsingSettings

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def failure(path: Path, **settings: object) -> DocumentError:
    with pytest.raises(DocumentError) as caught:
        sandbox.parse(path, ParsingSettings.model_validate(settings))
    return caught.value


def slow_file(folder: Path) -> Path:
    return write(folder / "slow.md", "| a | b |\n|---|---|\n" + "| *1* | `2` |\n" * 300_000)


def test_elements_come_back_as_they_are(tmp_path: Path) -> None:
    path = write(tmp_path / "object-42", "# 제목\n\n본문이다.\n")
    parsed = sandbox.parse(path, ParsingSettings(), name="안내.md")
    assert (parsed.title, parsed.mime_type, parsed.warnings) == ("제목", "text/markdown", ())
    assert parsed.elements == (
        Element(ElementType.TITLE, "제목", level=1),
        Element(ElementType.NARRATIVE_TEXT, "본문이다."),
    )


def test_errors_carry_reason_and_name(tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(b"\xff\xd8\xff\xe0" + bytes(50))
    error = failure(path)
    assert (error.reason, error.param) == (FailureReason.TYPE_MISMATCH, "a.pdf")
    assert "a.pdf" in error.message


def test_files_that_are_missing_or_too_large(tmp_path: Path) -> None:
    assert failure(tmp_path / "none.txt").reason == FailureReason.INTERNAL
    assert failure(tmp_path).reason == FailureReason.INTERNAL
    big = tmp_path / "big.txt"
    with big.open("wb") as file:
        file.truncate(2 * 1024 * 1024)
    assert failure(big, max_file_mb=1).reason == FailureReason.TOO_LARGE


def test_time_limit_ends_the_parse(tmp_path: Path) -> None:
    started = time.monotonic()
    error = failure(slow_file(tmp_path), timeout_s=0.5)
    assert (error.reason, "timeout_s" in error.message) == (FailureReason.TIMEOUT, True)
    assert time.monotonic() - started < 10


@linux
def test_memory_limit_ends_the_parse(tmp_path: Path) -> None:
    path = write(tmp_path / "wide.html", "<p>" + "<b>x</b>" * 6_000_000)
    error = failure(path, memory_mb=256)
    assert (error.reason, "memory_mb" in error.message) == (FailureReason.MEMORY_LIMIT, True)


def test_threads_parse_side_by_side(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{number}.txt", f"문서 {number}") for number in range(24)]
    with ThreadPoolExecutor(8) as pool:
        parsed = list(pool.map(lambda path: sandbox.parse(path, ParsingSettings()), paths))
    assert [document.elements[0].text for document in parsed] == [f"문서 {number}" for number in range(24)]


def test_a_parse_costs_a_fork_not_an_interpreter(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", "짧은 글")
    sandbox.parse(path, ParsingSettings())
    times = []
    for _ in range(5):
        started = time.perf_counter()
        sandbox.parse(path, ParsingSettings())
        times.append(time.perf_counter() - started)
    assert min(times) < 0.5


def children(process: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    except FileNotFoundError:
        return []


def soon(find: Callable[[], list[int]]) -> int:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if found := find():
            return found[0]
        time.sleep(0.005)
    raise AssertionError("no such process")


@linux
@pytest.mark.parametrize("level", ["server", "supervisor", "child"])
def test_killed_processes_end_the_parse_and_not_the_next(tmp_path: Path, level: str) -> None:
    sandbox.parse(write(tmp_path / "first.txt", "앞"), ParsingSettings())
    server = sandbox._server._process
    assert server is not None
    while children(server.pid):
        time.sleep(0.005)
    path = slow_file(tmp_path)
    errors: list[DocumentError] = []
    thread = threading.Thread(target=lambda: errors.append(failure(path, timeout_s=30)))
    thread.start()
    supervisor = soon(lambda: children(server.pid))
    child = soon(lambda: children(supervisor))
    os.kill({"server": server.pid, "supervisor": supervisor, "child": child}[level], signal.SIGKILL)
    thread.join(20)
    assert not thread.is_alive()
    assert errors[0].reason in (FailureReason.MEMORY_LIMIT, FailureReason.INTERNAL)
    assert sandbox.parse(write(tmp_path / "next.txt", "뒤"), ParsingSettings()).elements[0].text == "뒤"
