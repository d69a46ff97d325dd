"""``run``: a tool called from the command line."""

from __future__ import annotations

import subprocess
import sys

import pytest
from environments import ROOT
from llmflow_server import LLMFlowServer


def run(server: LLMFlowServer, *words: str, key: str | None = None) -> subprocess.CompletedProcess[str]:
    return command(*words, "--base-url", server.url, "--api-key", key or server.key())


def command(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "dify_plugins.tooling", "run", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_each_message_is_a_line_of_its_type(server: LLMFlowServer) -> None:
    done = run(server, "mask_pii", "text=담당자 010-2345-6789", "--tcp")
    assert done.returncode == 0, done.stderr
    kinds = [line.split()[0] for line in done.stdout.splitlines()]
    assert kinds == ["log", "log", "text", "json", "variable", "variable"]
    assert "담당자 [PHONE_NUMBER]" in done.stdout
    assert "010-2345-6789" not in done.stdout


def test_an_error_is_a_sentence_and_an_exit_code(server: LLMFlowServer) -> None:
    done = run(server, "retrieve", "query=연차", "--language", "en", key="wrong")
    assert done.returncode == 1
    *_, last = done.stdout.splitlines()
    assert last.startswith("error")
    assert "api_key" in last
    assert "Traceback" not in done.stdout + done.stderr


def test_a_word_that_is_no_parameter_is_refused(server: LLMFlowServer) -> None:
    done = run(server, "retrieve", "연차")
    assert done.returncode == 2
    assert "write name=value" in done.stderr


@pytest.mark.parametrize("python", [sys.executable, "no/such/python"])
@pytest.mark.parametrize("transport", [[], ["--tcp"]])
def test_a_plugin_that_does_not_start_is_a_sentence_and_an_exit_code(python: str, transport: list[str]) -> None:
    done = command("mask_pii", "text=hello", "--python", python, *transport)
    assert (done.returncode, done.stderr, len(done.stdout.splitlines())) == (1, "", 1)
    assert f"did not start with {python}" in done.stdout
    assert "make dify-venvs" in done.stdout
