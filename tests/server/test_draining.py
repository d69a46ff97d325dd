"""A server that is told to stop lets answers end first."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from processes import Process, command, environment, running
from scripted_model import Model
from served import SAMPLES, serving

QUESTION = "재택근무는 국외에서 가능한가요?"


@pytest.fixture
def model() -> Iterator[tuple[Model, str]]:
    model = Model()
    with serving(model.app) as url:
        yield model, url


def started(folder: Path, model_url: str, drain_s: int) -> tuple[dict[str, str], dict[str, str]]:
    """The environment of a server with one document, and a caller's headers."""
    settings = {"LLM__BASE_URL": f"{model_url}/v1", "LLM__RETRIES": "0", "SERVER__DRAIN_S": str(drain_s)}
    # The model takes its time with every call; ingesting the document is not to wait for it.
    env = environment(folder / "data", **settings, GRAPH__EXTRACTION="rules")
    assert command(env, folder, "ingest", str(SAMPLES / "재택근무규정.md")).returncode == 0
    made = command(env, folder, "keys", "create", "--role", "reader", "--json")
    key = made.stdout.split('"key": "')[1].split('"')[0]
    return env, {"Authorization": f"Bearer {key}"}


ANSWER = "/v1/answer", {"question": QUESTION, "stream": True, "cache": False}
PASSED = (
    "/v1/chat/completions",
    {"model": "llmflow-student", "messages": [{"role": "user", "content": QUESTION}], "stream": True},
)


def ask(process: Process, headers: dict[str, str], request: tuple[str, dict[str, Any]] = ANSWER) -> tuple[str, float]:
    """What came of an answer during which the server was told to stop, and seconds until its end."""
    text, told = "", 0.0
    path, body = request
    try:
        with httpx.stream("POST", process.url() + path, json=body, headers=headers, timeout=30) as response:
            for line in response.iter_lines():
                text += line + "\n"
                if not told and line.startswith(("event: delta", "data: ")):
                    process.process.send_signal(signal.SIGTERM)
                    told = time.monotonic()
    except httpx.TransportError:
        text += "broken off"
    return text, time.monotonic() - told


def test_an_answer_under_way_is_finished(tmp_path: Path, model: tuple[Model, str]) -> None:
    model[0].pieces, model[0].pause_s = [f"국외에서는 재택근무를 할 수 없다 {n}. [1]\n" for n in range(8)], 0.25
    env, headers = started(tmp_path, model[1], drain_s=20)
    with running(env, tmp_path, "serve") as process:
        text, seconds = ask(process, headers)
        assert "event: finished" in text
        assert seconds > 1
        assert process.process.wait(10) == 0


def test_a_passed_answer_under_way_is_finished(tmp_path: Path, model: tuple[Model, str]) -> None:
    model[0].pieces, model[0].pause_s = [f"{n} " for n in range(8)], 0.25
    env, headers = started(tmp_path, model[1], drain_s=20)
    with running(env, tmp_path, "serve") as process:
        text, seconds = ask(process, headers, PASSED)
        assert text.endswith("data: [DONE]\n\n")
        assert seconds > 1
        assert process.process.wait(10) == 0


def test_an_answer_that_takes_too_long_does_not_keep_the_server(tmp_path: Path, model: tuple[Model, str]) -> None:
    model[0].pieces, model[0].pause_s = [f"국외에서는 재택근무를 할 수 없다 {n}. [1]\n" for n in range(400)], 0.1
    env, headers = started(tmp_path, model[1], drain_s=2)
    with running(env, tmp_path, "serve") as process:
        text, seconds = ask(process, headers)
        assert "event: finished" not in text
        assert seconds < 4
        process.process.wait(10)
