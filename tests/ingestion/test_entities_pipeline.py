"""The graph stage of an ingestion: what it writes, what its failures cost, and what a killed one leaves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from llmflow.errors import ConfigurationError, NotFoundError
from llmflow.runtime import Runtime
from llmflow.schema import Document, DocumentStatus, JobStatus, Scope
from llmflow.settings import Settings
from llmflow.stores.graph import GraphStore

HR = Scope("회사", ("인사",))
RULES = """# 휴가규정

## 제4조(연차휴가)

"연차휴가"란 제5조의 병가가 아닌 유급휴가를 말한다. 김가온 팀장이 맡는다.

## 제5조(병가)

병가는 「근로기준법」 제60조와 다르다. 전화번호는 010-0000-1234이다.
"""
VICTIM = """
import os, signal, sys
from pathlib import Path
from llmflow.runtime import Runtime
from llmflow.schema import Scope
from llmflow.settings import Settings
from llmflow.stores.graph import GraphStore

GraphStore.replace = lambda *arguments: os.kill(os.getpid(), signal.SIGKILL)
with Runtime(Settings.model_validate_json(sys.argv[1])) as runtime:
    list(runtime.ingest(Scope("회사", ("인사",)), "인사", [Path(sys.argv[2])]))
"""


def settings_in(folder: Path, **overrides: Any) -> Settings:
    values = {"data_dir": folder, "pii": {"enabled": False}, "parsing": {"ocr": "off"}, "tracing": {"enabled": False}}
    return Settings.model_validate(values | overrides)


def ingest(runtime: Runtime, path: Path) -> Document:
    (outcome,) = runtime.ingest(HR, "인사", [path])
    return outcome.document


def graph_of(runtime: Runtime) -> GraphStore:
    assert runtime.graph is not None
    return runtime.graph


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    path = tmp_path / "휴가규정.md"
    path.write_text(RULES, encoding="utf-8")
    return path


@contextmanager
def llm(*replies: Any) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A chat endpoint that answers call n with reply n, an HTTP status where that is a number; and its requests."""
    requests: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            requests.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            reply = replies[min(len(requests), len(replies)) - 1]
            content = reply if isinstance(reply, str) else json.dumps(reply, ensure_ascii=False)
            message = {"role": "assistant", "content": content}
            body = json.dumps({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}).encode()
            self.send_response(reply if isinstance(reply, int) else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", requests
    finally:
        server.shutdown()
        server.server_close()


def test_a_document_comes_into_the_graph_and_goes(tmp_path: Path, rules: Path) -> None:
    with Runtime(settings_in(tmp_path / "data", pii={"enabled": True})) as runtime:
        document = ingest(runtime, rules)
        assert document.warnings == ()
        assert runtime.database.jobs(HR, document.id)[0].stage == "graph"
        found = graph_of(runtime).neighbourhood(HR, "휴가규정 제4조")
        assert {(row["subject"], row["relation_type"], row["object"]) for row in found.relations} == {
            ("연차휴가", "defined_in", "휴가규정 제4조"),
            ("휴가규정 제4조", "refers_to", "휴가규정 제5조"),
        }
        assert [row["document"] for row in found.about] == [document.id]
        assert graph_of(runtime).neighbourhood(HR, "근로기준법 제60조").mentioned
        rules.write_text(RULES.replace("제5조의 병가가 아닌", ""), encoding="utf-8")
        ingest(runtime, rules)
        assert [row["relation_type"] for row in graph_of(runtime).neighbourhood(HR, "휴가규정 제4조").relations] == [
            "defined_in"
        ]
        runtime.delete(HR, document.id)
        assert graph_of(runtime).counts(HR) == {}


def test_a_search_is_led_by_the_graph(tmp_path: Path, rules: Path) -> None:
    with Runtime(settings_in(tmp_path / "data")) as runtime:
        ingest(runtime, rules)
        result = runtime.search(HR, "연차휴가란 무엇인가", explain=True)
        first = result.candidates[0]
        assert first.chunk.article == "제4조"
        assert {"graph", "spread"} & {stage.stage for stage in first.stages}
        assert ("연차휴가", "정의", "휴가규정 제4조") in {
            (fact.subject, fact.relation, fact.object) for fact in result.facts
        }
        assert result.degradations == ()


def test_without_a_graph_nothing_of_it_is_made(tmp_path: Path, rules: Path) -> None:
    with Runtime(settings_in(tmp_path / "data", graph={"enabled": False})) as runtime:
        document = ingest(runtime, rules)
        assert document.status is DocumentStatus.READY
        assert "graph" not in {stage.stage for c in runtime.search(HR, "연차휴가").candidates for stage in c.stages}
        runtime.delete(HR, document.id)
    assert not list((tmp_path / "data").glob("graph*"))


def test_a_graph_that_cannot_be_written_costs_a_warning_and_can_be_made_later(tmp_path: Path, rules: Path) -> None:
    with Runtime(settings_in(tmp_path / "data")) as runtime:
        with graph_of(runtime)._engine.transaction() as run:
            run("DROP TABLE RELATED_TO", {})
        document = ingest(runtime, rules)
        assert document.status is DocumentStatus.READY
        (warning,) = document.warnings
        assert "not in the graph" in warning
        assert "llmflow graph rebuild" in warning
        assert runtime.search(HR, "연차휴가").candidates[0].chunk.article == "제4조"
    for file in (tmp_path / "data").glob("graph*"):
        file.unlink()
    with Runtime(settings_in(tmp_path / "data")) as runtime:
        assert runtime.rebuild_graph() == (1, {})
        assert graph_of(runtime).neighbourhood(HR, "휴가규정 제4조").relations


def test_a_document_can_be_deleted_although_the_graph_is_broken(
    tmp_path: Path, rules: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = tmp_path / "안내.md"
    other.write_text("# 안내\n\n연차휴가는 휴가규정 제4조에 따른다.\n", encoding="utf-8")
    with Runtime(settings_in(tmp_path / "data")) as runtime:
        document, kept = ingest(runtime, rules), ingest(runtime, other)
        before = graph_of(runtime).counts(HR)
        with graph_of(runtime)._engine.transaction() as run:
            run("DROP TABLE RELATED_TO", {})
        runtime.delete(HR, document.id)
        assert "llmflow graph rebuild" in caplog.text
        assert graph_of(runtime).counts(HR) == before  # what is left in it leads to nothing
        with pytest.raises(NotFoundError):
            runtime.database.get(HR, document.id)
        assert {row.chunk.document_id for row in runtime.vectors.rows()} == {kept.id}
        result = runtime.search(HR, "연차휴가란 무엇인가", explain=True)
        assert {candidate.chunk.document_id for candidate in result.candidates} == {kept.id}
        assert result.facts == ()
    with Runtime(settings_in(tmp_path / "data")) as runtime:  # which makes the missing table
        assert runtime.rebuild_graph() == (1, {})
        assert graph_of(runtime).all_documents().keys() == {kept.id}
        assert runtime.search(HR, "연차휴가란 무엇인가").facts == ()


def test_a_document_that_fails_ends_although_the_graph_is_broken(tmp_path: Path, rules: Path) -> None:
    with Runtime(settings_in(tmp_path / "data")) as runtime:
        document = ingest(runtime, rules)
        with graph_of(runtime)._engine.transaction() as run:
            run("DROP TABLE RELATED_TO", {})
        rules.write_text("", encoding="utf-8")
        assert ingest(runtime, rules).status is DocumentStatus.EMPTY
        assert runtime.ingester.due() == []
        assert {job.status for job in runtime.database.jobs(HR, document.id)} == {JobStatus.DONE, JobStatus.FAILED}
        assert list(runtime.vectors.rows()) == []


def test_a_rebuilt_graph_is_the_same_and_loses_what_is_gone(tmp_path: Path, rules: Path) -> None:
    def picture(runtime: Runtime) -> Any:
        graph = graph_of(runtime)
        names = ("휴가규정 제4조", "연차휴가", "휴가규정 제5조", "병가")
        return graph.counts(HR), [graph.neighbourhood(HR, name) for name in names]

    with Runtime(settings_in(tmp_path / "data")) as runtime:
        document = ingest(runtime, rules)
        before = picture(runtime)
        seen: list[tuple[int, int]] = []
        assert runtime.rebuild_graph(lambda *progress: seen.append(progress)) == (1, {})
        assert seen == [(1, 1)]
        assert picture(runtime) == before
        runtime.indexer.remove(HR, document.id)
        assert runtime.rebuild_graph() == (0, {})
        assert graph_of(runtime).counts(HR) == {}


def test_killed_in_the_graph_stage_the_job_is_taken_up_again(tmp_path: Path, rules: Path) -> None:
    settings = settings_in(tmp_path / "data")
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    arguments = [sys.executable, "-c", VICTIM, settings.model_dump_json(exclude_unset=True), str(rules)]
    assert subprocess.run(arguments, env=environment, timeout=120).returncode == -signal.SIGKILL
    with Runtime(settings) as runtime:
        (job,) = runtime.ingester.due()
        assert job.stage == "store"
        (outcome,) = runtime.ingest(HR, "인사", [])
        assert outcome.document.status is DocumentStatus.READY
        assert runtime.database.jobs(HR, outcome.document.id)[0].status is JobStatus.DONE
        assert graph_of(runtime).neighbourhood(HR, "휴가규정 제4조").relations


def test_the_llm_adds_what_rules_cannot_see(tmp_path: Path, rules: Path) -> None:
    found = {
        "entities": [{"name": "김가온 팀장", "type": "person"}, {"name": "지어낸 이름", "type": "person"}, "no object"],
        "relations": [
            {"subject": "김가온 팀장", "relation": "맡는다", "object": "연차휴가"},
            {"subject": "지어낸 이름", "relation": "맡는다", "object": "연차휴가"},
        ],
    }
    with llm(found) as (url, requests), Runtime(settings_in(tmp_path / "data", llm={"base_url": url})) as runtime:
        assert ingest(runtime, rules).warnings == ()
        assert requests[0]["response_format"]["type"] == "json_schema"
        relations = graph_of(runtime).neighbourhood(HR, "김가온 팀장").relations
        assert [(row["relation_type"], row["object"], row["weight"]) for row in relations] == [
            ("맡는다", "연차휴가", 0.8)
        ]
        with pytest.raises(NotFoundError):
            graph_of(runtime).neighbourhood(HR, "지어낸 이름")
        assert graph_of(runtime).neighbourhood(HR, "휴가규정 제4조").relations  # the rules' are there too


@pytest.mark.parametrize("reply", [400, 413, 500, "no JSON", ["a list"]])
def test_a_passage_the_llm_cannot_do_does_not_stop_the_others(tmp_path: Path, rules: Path, reply: Any) -> None:
    found = {"entities": [{"name": "전화번호", "type": "concept"}], "relations": []}
    with llm(reply, found) as (url, requests):
        settings = settings_in(tmp_path / "data", llm={"base_url": url, "retries": 0})
        with Runtime(settings) as runtime:
            (warning,) = ingest(runtime, rules).warnings
            assert "in 1 of 2 passages, rules in all (1 failed, 0 left out): LLM endpoint" in warning
            assert "llmflow graph rebuild" in warning
            assert graph_of(runtime).neighbourhood(HR, "전화번호").mentioned
        assert len(requests) == 2


@pytest.mark.parametrize(
    ("reply", "counted"), [(500, "1 failed, 1 left out"), (401, "0 failed, 2 left out"), (404, "0 failed, 2 left out")]
)
def test_a_server_that_is_away_or_refuses_all_is_asked_no_more(
    tmp_path: Path, rules: Path, reply: int, counted: str
) -> None:
    with llm(reply) as (url, requests):
        settings = settings_in(tmp_path / "data", llm={"base_url": url, "retries": 0, "breaker_failures": 2})
        with Runtime(settings) as runtime:
            (warning,) = ingest(runtime, rules).warnings
            assert f"in 0 of 2 passages, rules in all ({counted}): LLM endpoint" in warning
        assert len(requests) == 1


def test_extraction_stops_when_its_time_is_over(tmp_path: Path, rules: Path) -> None:
    with llm({}) as (url, requests):
        settings = settings_in(tmp_path / "data", llm={"base_url": url}, graph={"extraction_timeout_s": 1e-9})
        with Runtime(settings) as runtime:
            (warning,) = ingest(runtime, rules).warnings
            assert "in 0 of 2 passages, rules in all (0 failed, 2 left out): 1e-09 seconds were over" in warning
        assert requests == []


@pytest.mark.parametrize("reply", [500, "no JSON", ["a list"]])
def test_an_llm_that_fails_leaves_the_rules_and_says_so(tmp_path: Path, rules: Path, reply: Any) -> None:
    with llm(reply) as (url, _):
        settings = settings_in(tmp_path / "data", llm={"base_url": url, "retries": 0})
        with Runtime(settings) as runtime:
            document = ingest(runtime, rules)
            (warning,) = document.warnings
            assert "the LLM found entities in 0 of 2 passages, rules in all" in warning
            assert graph_of(runtime).neighbourhood(HR, "휴가규정 제4조").relations


def test_rules_alone_ask_no_llm(tmp_path: Path, rules: Path) -> None:
    with llm({}) as (url, requests):
        settings = settings_in(tmp_path / "data", llm={"base_url": url}, graph={"extraction": "rules"})
        with Runtime(settings) as runtime:
            assert ingest(runtime, rules).warnings == ()
        assert requests == []


def test_extraction_by_an_llm_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with (
        Runtime(settings_in(tmp_path / "data", graph={"extraction": "llm"})) as runtime,
        pytest.raises(ConfigurationError, match=r"llm\.base_url"),
    ):
        assert runtime.linker
