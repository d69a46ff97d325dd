"""The prompts written for a teacher are those that the product sends to its LLM."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from evaluation.answer_prompts import app
from llmflow.runtime import Runtime
from llmflow.schema import Scope
from llmflow.settings import load_settings

TEXTS = {
    "휴가.txt": "휴가는 3일 전에 신청한다. 팀장 김하늘이 승인한다.",
    "travel.txt": "A flight abroad is booked two weeks ahead.",
}
QUESTIONS = ["휴가는 언제 신청하나요?", "Is a flight abroad booked two weeks ahead?"]


@pytest.fixture
def llm() -> Iterator[tuple[str, list[Any]]]:
    """The address of an LLM that streams one sentence, and the messages it got."""
    got: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(404)

        def do_POST(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["messages"])
            delta = {"choices": [{"index": 0, "delta": {"content": "모릅니다."}, "finish_reason": "stop"}]}
            content = f"data: {json.dumps(delta)}\n\ndata: [DONE]\n\n".encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield f"http://127.0.0.1:{http.server_port}/v1", got
    http.shutdown()
    http.server_close()


@pytest.fixture
def scope(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scope:
    """Whose the ingested documents are; the working folder has stores of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LLMFLOW_DATA_DIR", str(tmp_path / "data"))
    settings = load_settings()
    mine = Scope(settings.tenant, (settings.department,))
    for name, text in TEXTS.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    with Runtime(settings) as runtime:
        list(runtime.ingest(mine, settings.department, [tmp_path / name for name in TEXTS]))
    return mine


def write(questions: list[str]) -> None:
    lines = [json.dumps({"question": question}, ensure_ascii=False) for question in questions]
    Path("questions.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_they_are_what_the_product_sends(
    scope: Scope, llm: tuple[str, list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    write([*QUESTIONS, "qqqq zzzz?"])
    result = CliRunner().invoke(app, ["questions.jsonl", "out/prompts.jsonl"])
    assert result.exit_code == 0, result.output
    assert "left out: nothing found │      1" in result.output
    rows = [json.loads(line) for line in Path("out/prompts.jsonl").read_text(encoding="utf-8").splitlines()]
    url, got = llm
    monkeypatch.setenv("LLMFLOW_LLM__BASE_URL", url)
    monkeypatch.setenv("LLMFLOW_GRAPH__EXTRACTION", "rules")
    with Runtime(load_settings()) as runtime:
        for question in QUESTIONS:
            runtime.ask(scope, question)
    sent = [{"system": system["content"], "instruction": user["content"], "input": ""} for system, user in got]
    assert rows == sent


@pytest.mark.usefixtures("scope")
def test_questions_that_find_nothing_write_nothing() -> None:
    write(["qqqq zzzz?"])
    result = CliRunner().invoke(app, ["questions.jsonl", "prompts.jsonl"])
    assert result.exit_code == 1
    assert "ingest first" in result.output
    assert not Path("prompts.jsonl").exists()
