from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from command_line import Ran, run


class Models(BaseHTTPRequestHandler):
    """An endpoint that serves one model to those who have the key."""

    def do_GET(self) -> None:
        allowed = self.headers.get("Authorization") == "Bearer key"
        self.send_response(200 if allowed else 401)
        self.end_headers()
        self.wfile.write(json.dumps({"data": [{"id": "student"}]}).encode() if allowed else b"{}")

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Models)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()


def checks(ran: Ran) -> dict[str, dict[str, Any]]:
    return {check["name"]: check for check in ran.json["checks"]}


def test_everything_is_looked_at(ingested: Ran) -> None:
    ran = run("doctor", "--json")
    found = checks(ran)
    assert ran.code == 0, ran.out
    assert ran.json["ok"]
    assert {name for name, check in found.items() if check["status"] != "ok"} == set(), ran.out
    assert list(found) == [
        "python", "settings", "data_dir", "database", "objects", "vectors", "embedder", "kiwi", "masking", "parsers",
        "ocr", "graph", "llm", "rerankers", "traces",
    ]  # fmt: skip
    assert "3 ready" in found["database"]["detail"]
    assert "migration 0003" in found["database"]["detail"]
    chunks = sum(row["chunks_count"] for row in ingested.json["documents"])
    assert f" {chunks} chunks" in found["vectors"]["detail"]
    assert "name" in found["graph"]["detail"]
    assert "[EMAIL]" in found["masking"]["detail"]
    lines = run("doctor").out.splitlines()
    assert all(line.startswith("ok ") for line in lines), lines


def test_missing_tesseract_is_a_warning(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMFLOW_PARSING__OCR", "auto")
    monkeypatch.setenv("PATH", str(place))
    ran = run("doctor", "--json")
    assert ran.code == 0
    assert checks(ran)["ocr"]["status"] == "warn"
    assert "apt-get install tesseract-ocr" in checks(ran)["ocr"]["hint"]


def test_llm_endpoint_is_asked(place: Path, endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def llm() -> dict[str, Any]:
        return checks(run("doctor", "--json"))["llm"]

    monkeypatch.setenv("LLMFLOW_LLM__BASE_URL", endpoint)
    assert (llm()["status"], llm()["hint"]) == ("fail", "check llm.api_key")
    monkeypatch.setenv("LLMFLOW_LLM__API_KEY", "key")
    assert llm()["status"] == "warn"
    assert "student" in llm()["hint"]
    monkeypatch.setenv("LLMFLOW_LLM__MODEL", "student")
    assert llm()["status"] == "ok"
    monkeypatch.setenv("LLMFLOW_LLM__BASE_URL", "http://127.0.0.1:1/v1")
    ran = run("doctor")
    assert ran.code == 1
    assert "fail  llm" in ran.out


def test_settings_that_are_wrong_are_the_first_finding(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMFLOW_NOPE", "1")
    ran = run("doctor", "--json")
    assert ran.code == 1
    assert list(checks(ran)) == ["python", "settings"]
    assert "LLMFLOW_NOPE" in checks(ran)["settings"]["detail"]


def test_a_data_folder_that_cannot_be_made_is_said(
    tmp_path: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("LLMFLOW_DATA_DIR", str(tmp_path / "file" / "data"))
    ran = run("doctor", "--json")
    assert ran.code == 1
    assert checks(ran)["data_dir"]["status"] == "fail"


def test_stores_another_process_holds_are_a_warning(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLMFLOW_DATA_DIR", str(tmp_path / "data"))
    hold = "from llmflow.runtime import Runtime; from llmflow.settings import load_settings;"
    hold += "print(Runtime(load_settings()).vectors.version, flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout
        assert other.stdout.readline() == "none\n"
        ran = run("doctor", "--json")
        search = run("search", "연차휴가")
        other.communicate("\n")
    held = checks(ran)["vectors"]
    assert ran.code == 0, ran.out
    assert held["status"] == "warn"
    assert held["detail"] == "held by another process"
    assert checks(ran)["kiwi"]["status"] == "ok"
    assert search.code == 1
    assert search.err.startswith("error: ")
    assert "another llmflow process" in search.err
    assert checks(run("doctor", "--json"))["vectors"]["status"] == "ok"
