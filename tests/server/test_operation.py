"""Masking, feedback, traces, and what operators look at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from served import DOCUMENTS, MakeKey

from llmflow.runtime import Runtime
from llmflow.schema import Role
from llmflow.server.app import create_app
from llmflow.settings import Settings

QUESTION = "재택근무는 국외에서 가능한가요?"
As = Callable[..., httpx.Client]


@pytest.fixture(scope="module")
def as_role(live: str, key: MakeKey) -> Iterator[As]:
    opened = []

    def make(role: Role = Role.READER, **more: Any) -> httpx.Client:
        client = httpx.Client(base_url=live, headers={"Authorization": f"Bearer {key(role, **more)}"}, timeout=30)
        opened.append(client)
        return client

    yield make
    for client in opened:
        client.close()


def answer(client: httpx.Client, question: str = QUESTION) -> str:
    trace_id: str = client.post("/v1/answer", json={"question": question, "cache": False}).json()["trace_id"]
    return trace_id


def test_me(as_role: As) -> None:
    body = as_role(Role.EDITOR).get("/v1/me").json()
    assert body.pop("subject").startswith("key:")
    assert body == {"tenant": "samples", "departments": list(DOCUMENTS), "role": "editor"}


def test_masking(client: httpx.Client) -> None:
    text = "담당자는 010-2345-6789로 연락 바랍니다."
    body = client.post("/v1/pii/mask", json={"text": text}).json()
    assert body["text"] == "담당자는 [PHONE_NUMBER]로 연락 바랍니다."
    (entity,) = body["entities"]
    assert text[entity["start"] : entity["end"]] == "010-2345-6789"
    assert client.post("/v1/pii/mask", json={"text": ""}).json() == {"text": "", "entities": []}
    assert client.post("/v1/pii/mask", json={"text": "x" * 100_001}).status_code == 422


def test_traces_are_the_callers_own(as_role: As) -> None:
    asker, other, administrator = as_role(), as_role(), as_role(Role.ADMINISTRATOR)
    narrower = as_role(Role.ADMINISTRATOR, departments=("보안",))
    trace_id = answer(asker, f"{QUESTION} 010-2345-6789")
    trace = asker.get(f"/v1/traces/{trace_id}").json()
    assert trace["summary"]["trace_id"] == trace_id
    assert "[PHONE_NUMBER]" in trace["roots"][0]["input"]
    assert [child["name"] for child in trace["roots"][0]["children"]] == ["retrieve", "answer"]

    def listed(client: httpx.Client) -> bool:
        return trace_id in {each["trace_id"] for each in client.get("/v1/traces?limit=200").json()["traces"]}

    assert listed(asker)
    assert listed(administrator)
    for client in (other, narrower):
        assert not listed(client)
        foreign, absent = client.get(f"/v1/traces/{trace_id}"), client.get(f"/v1/traces/{'0' * 32}")
        assert (foreign.status_code, absent.status_code) == (404, 404)
        assert foreign.json()["error"] == {
            **absent.json()["error"],
            "message": absent.json()["error"]["message"].replace("0" * 32, trace_id),
        }


def test_feedback(as_role: As) -> None:
    asker, administrator = as_role(), as_role(Role.ADMINISTRATOR)
    trace_id = answer(asker)
    assert asker.post("/v1/feedback", json={"trace_id": trace_id, "value": 1}).status_code == 201
    given = asker.post("/v1/feedback", json={"trace_id": trace_id, "value": -1, "comment": "틀렸어요"})
    assert given.status_code == 201
    kept = [each for each in administrator.get("/v1/feedback").json()["feedback"] if each["trace_id"] == trace_id]
    assert [each | {"remembered": 0} for each in kept] == [given.json()], (
        "the later word of a user replaces the earlier"
    )
    assert (kept[0]["value"], kept[0]["comment"]) == (-1, "틀렸어요")
    scores = asker.get(f"/v1/traces/{trace_id}").json()["scores"]
    assert scores == [{"name": "feedback", "value": -1.0}]


def test_feedback_is_about_an_answer_one_has_seen(as_role: As) -> None:
    asker, other, administrator = as_role(), as_role(), as_role(Role.ADMINISTRATOR)
    trace_id = answer(asker)
    before = administrator.get("/v1/feedback").json()["total"]
    for client in (other, as_role(tenant="others", departments=("인사",))):
        assert client.post("/v1/feedback", json={"trace_id": trace_id, "value": -1}).status_code == 404
        assert client.get("/v1/feedback").status_code == 403
    for body in ({"trace_id": trace_id, "value": 2}, {"trace_id": trace_id[:8], "value": 1}):
        assert asker.post("/v1/feedback", json=body).status_code == 422
    assert administrator.get("/v1/feedback").json()["total"] == before
    assert as_role(Role.ADMINISTRATOR, tenant="others").get("/v1/feedback").json() == {"feedback": [], "total": 0}


# Health and metrics


def test_readiness_names_components_and_nothing_else(client: httpx.Client) -> None:
    ready = client.get("/readyz", headers={"Authorization": ""})
    assert ready.status_code == 200
    assert ready.json() == {
        "ready": True,
        "components": dict.fromkeys(("database", "objects", "vectors", "keyvalue", "queue"), "ok"),
    }


def settings(folder: Path, **more: Any) -> Settings:
    return Settings.model_validate({"data_dir": folder, **more})


def test_a_component_that_is_not_needed_does_not_stop_the_server(tmp_path: Path) -> None:
    nobody = {"keyvalue": {"url": "redis://127.0.0.1:1/0"}, "llm": {"base_url": "http://127.0.0.1:1/v1"}}
    with Runtime(settings(tmp_path, **nobody)) as runtime:
        response = TestClient(create_app(runtime)).get("/readyz")
    assert response.status_code == 200
    components = response.json()["components"]
    assert (components["keyvalue"], components["llm"], components["database"]) == ("failed", "failed", "ok")


def test_a_component_that_is_needed_does(tmp_path: Path) -> None:
    s3 = {"endpoint": "127.0.0.1:1", "access_key": "a", "secret_key": "s", "secure": False}
    with Runtime(settings(tmp_path, objects={"s3": s3})) as runtime:
        response = TestClient(create_app(runtime)).get("/readyz")
    assert response.status_code == 503
    assert response.json()["ready"] is False
    assert response.json()["components"]["objects"] == "failed"
    assert "127.0.0.1" not in response.text


def test_metrics_count_what_was_asked(client: httpx.Client) -> None:
    client.post("/v1/retrieve", json={"query": QUESTION})
    client.get("/v1/traces/ffff")
    text = client.get("/metrics", headers={"Authorization": ""}).text
    assert 'llmflow_request_seconds_count{method="POST",route="/v1/retrieve",status="200"}' in text
    assert 'llmflow_request_seconds_count{method="GET",route="/v1/traces/{trace_id}",status="404"}' in text
    assert 'llmflow_errors_total{code="not_found"}' in text
    assert 'llmflow_stage_seconds_count{stage="retrieve.fuse"}' in text
    assert "llmflow_queue_depth 0.0" in text
    assert "samples" not in text


def test_metrics_are_not_for_everybody(server_runtime: Runtime, tmp_path: Path) -> None:
    app = create_app(server_runtime)
    near, far = TestClient(app, client=("127.0.0.1", 1)), TestClient(app, client=("10.0.0.7", 1))
    assert near.get("/metrics").status_code == 200
    assert near.get("/metrics", headers={"X-Forwarded-For": "10.0.0.7"}).status_code == 403
    assert far.get("/metrics").status_code == 403
    with Runtime(settings(tmp_path, server={"metrics_token": "tok"})) as runtime:
        guarded = TestClient(create_app(runtime), client=("10.0.0.7", 1))
        assert guarded.get("/metrics").status_code == 401
        assert guarded.get("/metrics", headers={"Authorization": "Bearer token"}).status_code == 401
        assert guarded.get("/metrics", headers={"Authorization": "Bearer tok"}).status_code == 200
