"""The endpoint's own models in the server's list: they come and go."""

from __future__ import annotations

import httpx
import pytest
from passing_requests import SECRET, complete, listed
from scripted_endpoint import STUDENT, Endpoint, Reply, adapter


def test_models_come_and_go(passing: httpx.Client, endpoint: Endpoint) -> None:
    found = listed(passing)
    assert found["object"] == "list"
    assert found["llmflow"] == {"degradations": []}
    assert [each["id"] for each in found["data"]] == ["llmflow", "student", "hr"]
    ours, student, hr = found["data"]
    assert (ours["kind"], ours["owned_by"], ours["parent"], ours["max_model_len"]) == ("answers", "llmflow", None, None)
    expected = {"object": "model", "created": 7, "owned_by": "vllm", "max_model_len": 4096}
    assert student == {"id": "student", "kind": "student", "parent": None, **expected}
    assert hr == {"id": "hr", "kind": "adapter", "parent": "student", **expected}
    endpoint.models = [STUDENT, adapter("legal"), {"id": "llmflow"}, {"id": "bare"}]
    assert [each["id"] for each in listed(passing)["data"]] == ["llmflow", "student", "legal", "bare"]
    assert {each.headers["authorization"] for each in endpoint.received} == {f"Bearer {SECRET}"}


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(trouble="hang"), "said nothing"),
        (Reply({"error": {"message": "engine is dead"}}, status=500), "engine is dead"),
        (Reply({"error": "Unauthorized"}, status=401), "llm.api_key"),
        (Reply(b"<html>", headers={"content-type": "text/html"}), "llm.base_url"),
        (Reply({"models": []}), "llm.base_url"),
        (Reply(trouble="cut"), "llm.base_url"),
    ],
)
def test_an_endpoint_that_does_not_tell_is_left_out(
    passing: httpx.Client, endpoint: Endpoint, reply: Reply, reason: str
) -> None:
    endpoint.replies["/v1/models"] = reply
    found = listed(passing)
    assert [each["id"] for each in found["data"]] == ["llmflow"]
    (degradation,) = found["llmflow"]["degradations"]
    assert degradation["stage"] == "llm"
    assert reason in degradation["reason"]


def test_an_endpoint_without_a_list_serves_the_model_of_the_settings(passing: httpx.Client, endpoint: Endpoint) -> None:
    endpoint.replies["/v1/models"] = Reply({"detail": "Not Found"}, status=404)
    assert [each["id"] for each in listed(passing)["data"]] == ["llmflow", "llmflow-student"]
    assert complete(passing, model="llmflow-student").status_code == 200
    assert complete(passing, model="gpt-4").status_code == 404
