"""What users accept is remembered, and similar questions find it sooner."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from strangers import OTHERS, OWNED, Caller

from llmflow.runtime import Runtime
from llmflow.schema import Role
from llmflow.server.app import create_app
from llmflow.settings import load_settings

PARKING = """# 청사 관리

## 제2조(차량)

지하 2층은 방문객이 쓴다. 정기 등록은 총무과에서 한다.
"""
QUESTION = "근속수당은 얼마인가요?"


@pytest.fixture(scope="module")
def callers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Caller]]:
    limits = {"requests_per_minute": 1_000_000, "burst": 1_000_000}
    settings = load_settings(
        data_dir=tmp_path_factory.mktemp("memory"), parsing={"ocr": "off"}, auth=limits, logging={"level": "ERROR"}
    )
    with Runtime(settings) as runtime, TestClient(create_app(runtime), client=("127.0.0.1", 50_000)) as client:

        def caller(departments: tuple[str, ...], role: Role) -> Caller:
            key, record = runtime.keys.create("acme", departments, role)
            return Caller(client, key, record.id)

        made = {
            "reader": caller(("hr",), Role.READER),
            "colleague": caller(("hr",), Role.READER),
            "both": caller(("hr", "it"), Role.READER),
            "administrator": caller(("hr",), Role.ADMINISTRATOR),
            "editor": caller(("hr", "it"), Role.EDITOR),
        }
        made["editor"].ingest("rules.md", OWNED, "hr", "rules")
        made["editor"].ingest("parking.md", PARKING, "hr", "rules")
        made["editor"].ingest("travel.md", OTHERS, "it", "rules")
        yield made


def ask(caller: Caller, question: str = QUESTION) -> Any:
    return caller.json("POST", "/v1/answer", json={"question": question, "cache": False})


def found(caller: Caller, question: str) -> dict[str, dict[str, float]]:
    """The scores of every stage by document."""
    result = caller.json("POST", "/v1/retrieve", json={"query": question, "threshold": 0, "top_k": 50})
    assert result["degradations"] == []
    return {
        hit["chunk"]["document_name"]: {stage["stage"]: stage["score"] for stage in hit["stages"]}
        for hit in result["candidates"]
    }


def judge(caller: Caller, trace: str, value: int = 1, **more: Any) -> Any:
    return caller.json("POST", "/v1/feedback", json={"trace_id": trace, "value": value, **more})


def memories(caller: Caller) -> list[Any]:
    listed: list[Any] = caller.json("GET", "/v1/memory")["memories"]
    return listed


def test_a_thumb_up_remembers_what_the_answer_cites_at_once(callers: dict[str, Caller]) -> None:
    reader, colleague = callers["reader"], callers["colleague"]
    answer = ask(reader)
    assert "memory" not in found(colleague, QUESTION)["rules.md"]
    given = judge(reader, answer["trace_id"])
    cited = {citation["chunk_id"] for citation in answer["citations"]}
    assert given["remembered"] == len(cited) > 0
    assert {one["chunk_id"] for one in memories(reader)} == cited
    assert {(one["question"], one["origin"], one["trace_id"]) for one in memories(reader)} == {
        (QUESTION, "feedback", answer["trace_id"])
    }
    assert found(colleague, QUESTION)["rules.md"]["memory"] == pytest.approx(1.0, abs=1e-5)
    assert memories(colleague) == []
    # A thumb down on the same answer takes it back.
    assert judge(reader, answer["trace_id"], -1)["remembered"] == 0
    assert memories(reader) == []
    assert "memory" not in found(colleague, QUESTION)["rules.md"]


def test_passages_named_by_the_user_are_remembered_instead(callers: dict[str, Caller]) -> None:
    reader = callers["reader"]
    question = "주차는 어디에 하나요?"
    searched = reader.json("POST", "/v1/retrieve", json={"query": question, "threshold": 0})
    documents = reader.json("GET", "/v1/documents?name=parking")["documents"]
    (chunk,) = reader.json("GET", f"/v1/documents/{documents[0]['id']}/chunks")["chunks"]
    assert judge(reader, searched["trace_id"], sources=[chunk["id"]])["remembered"] == 1
    (one,) = memories(reader)
    assert (one["question"], one["origin"], one["chunk_id"]) == (question, "click", chunk["id"])
    after = reader.json("POST", "/v1/retrieve", json={"query": question})
    assert after["candidates"][0]["chunk"]["id"] == chunk["id"]
    reader.json("DELETE", f"/v1/memory/{one['id']}")
    assert memories(reader) == []


def test_passages_the_caller_cannot_see_are_refused(callers: dict[str, Caller]) -> None:
    reader, both = callers["reader"], callers["both"]
    (document,) = both.json("GET", "/v1/documents?name=travel")["documents"]
    (chunk, *_) = both.json("GET", f"/v1/documents/{document['id']}/chunks")["chunks"]
    trace = ask(reader)["trace_id"]
    for id in (chunk["id"], "0" * 32):
        refused = reader.call("POST", "/v1/feedback", json={"trace_id": trace, "value": 1, "sources": [id]})
        assert (refused.status_code, refused.json()["error"]["param"]) == (404, "sources")
    assert memories(reader) == []
    assert callers["administrator"].json("GET", "/v1/feedback")["feedback"][0]["trace_id"] != trace


def test_passages_are_named_by_ids_alone(callers: dict[str, Caller]) -> None:
    reader = callers["reader"]
    trace = ask(reader)["trace_id"]
    for id in ("a'b", "x'] or id != '' or id in ['", "\ud800", "0" * 33, ""):
        body = json.dumps({"trace_id": trace, "value": 1, "sources": [id]})
        refused = reader.call("POST", "/v1/feedback", content=body, headers={"Content-Type": "application/json"})
        assert refused.status_code == 422, refused.text
        assert "sources" in refused.json()["error"]["param"]
    assert memories(reader) == []


def test_personal_data_in_a_question_is_masked(callers: dict[str, Caller]) -> None:
    reader = callers["reader"]
    question = "010-2345-6789 번호를 쓰는 직원의 근속수당은 얼마인가요?"
    searched = reader.json("POST", "/v1/retrieve", json={"query": question, "threshold": 0})
    chunk = searched["candidates"][0]["chunk"]["id"]
    assert judge(reader, searched["trace_id"], sources=[chunk])["remembered"] == 1
    (text,) = {one["question"] for one in memories(reader)}
    assert "2345" not in text
    assert "근속수당" in text
    judge(reader, searched["trace_id"], -1)


def test_who_sees_and_forgets_what(callers: dict[str, Caller]) -> None:
    for name in ("reader", "both"):
        assert judge(callers[name], ask(callers[name])["trace_id"])["remembered"] > 0
    own = {name: {one["id"] for one in memories(callers[name])} for name in callers}
    assert own["reader"]
    assert own["both"]
    # The question of one who reads it as well is not shown to an administrator of hr alone.
    assert own["administrator"] == own["reader"]
    assert own["colleague"] == own["editor"] == set()
    (id, *_) = own["both"]
    for name in ("reader", "colleague", "administrator", "editor"):
        assert callers[name].call("DELETE", f"/v1/memory/{id}").status_code == 404
    for id in own["both"]:
        assert callers["both"].json("DELETE", f"/v1/memory/{id}")["id"] == id
    for id in own["reader"]:
        assert callers["administrator"].json("DELETE", f"/v1/memory/{id}")["id"] == id
    assert [memories(caller) for caller in callers.values()] == [[]] * len(callers)


def test_memories_go_with_their_document(callers: dict[str, Caller]) -> None:
    reader, editor = callers["reader"], callers["editor"]
    document, _ = editor.ingest("bike.md", "# 자전거\n\n자전거 보관대는 정문 옆에 있다.", "hr", "rules")
    assert judge(reader, ask(reader, "자전거 보관대는 어디에 있나요?")["trace_id"])["remembered"] == 1
    editor.json("DELETE", f"/v1/documents/{document}")
    assert memories(reader) == []
