"""What the documents say of an entity: as the graph has it, and never beyond the caller's departments."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from served import MakeKey, serving

from llmflow.runtime import Runtime
from llmflow.schema import Role, Scope
from llmflow.server.app import create_app
from llmflow.settings import Settings

TENANT = "graphs"
RULES = """# 자수정 규정

## 제3조(목적)

이 규정은 「취업규칙」 제12조에 따라 근속수당을 정한다. 이하 "근속수당"이란 매달 주는 돈을 말한다.

## 제4조(지급)

제3조의 근속수당은 매달 770,000원이다.
"""
SECRET = "은방울 계획"
OTHER = f"""# {SECRET}

## 제1조(목적)

이 계획은 「자수정 규정」 제4조를 고친다.
"""


@pytest.fixture(scope="module")
def linked(server_runtime: Runtime, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Two departments whose documents name the same rules."""
    folder = tmp_path_factory.mktemp("graphs")
    for department, name, text in (("hr", "자수정 규정.md", RULES), ("legal", f"{SECRET}.md", OTHER)):
        (folder / name).write_text(text, encoding="utf-8")
        for outcome in server_runtime.ingest(Scope(TENANT, (department,)), department, [folder / name]):
            assert outcome.document.status == "ready"


@pytest.fixture(scope="module")
def clients(live: str, key: MakeKey, linked: None) -> Iterator[dict[tuple[str, ...], httpx.Client]]:
    """Readers by their departments."""
    found = {}
    for departments in (("hr",), ("legal",), ("hr", "legal")):
        headers = {"Authorization": f"Bearer {key(Role.READER, TENANT, departments)}"}
        found[departments] = httpx.Client(base_url=live, headers=headers, timeout=30)
    yield found
    for client in found.values():
        client.close()


def search(client: httpx.Client, entity: str, **more: Any) -> dict[str, Any]:
    response = client.post("/v1/graph/search", json={"entity": entity, **more})
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def test_an_entity_with_its_passages_and_relations(clients: dict[tuple[str, ...], httpx.Client]) -> None:
    client = clients["hr",]
    found = search(client, "자수정규정 제4조")  # spaces do not matter
    assert (found["name"], found["types"]) == ("자수정 규정 제4조", ["article"])
    (about,) = found["about"]
    assert (about["document_name"], about["role"]) == ("자수정 규정.md", "article")
    chunks = client.get(f"/v1/documents/{about['document_id']}/chunks").json()["chunks"]
    assert "770,000" in {chunk["id"]: chunk["text"] for chunk in chunks}[about["chunk_id"]]
    (relation,) = found["relations"]
    assert relation == {
        "hop": 1,
        "subject": "자수정 규정 제4조",
        "relation": "refers_to",
        "object": "자수정 규정 제3조",
        "weight": 1.0,
        "chunk_id": about["chunk_id"],
    }
    mentioned = search(client, "취업규칙 제12조")["mentioned"]
    assert [(row["document_name"], 0 < row["confidence"] <= 1) for row in mentioned] == [("자수정 규정.md", True)]


def test_hops_and_limits(clients: dict[tuple[str, ...], httpx.Client]) -> None:
    client = clients["hr",]
    near, far = (search(client, "자수정 규정 제4조", hops=hops)["relations"] for hops in (1, 2))
    assert {relation["hop"] for relation in near} == {1}
    assert {relation["hop"] for relation in far} == {1, 2}
    assert "취업규칙 제12조" in {relation["object"] for relation in far}
    assert len(search(client, "자수정 규정", limit=1)["about"]) == 1
    assert len(search(client, "자수정 규정")["about"]) > 1


def test_departments_do_not_see_each_other(clients: dict[tuple[str, ...], httpx.Client]) -> None:
    name = "자수정 규정 제4조"
    both = search(clients["hr", "legal"], name)
    assert SECRET in str(both)
    for found in (search(clients["hr",], name), search(clients["hr", "legal"], name, departments=["hr"])):
        assert found["about"]
        assert SECRET not in str(found)
    theirs = search(clients["legal",], name)
    assert theirs["about"] == []
    assert {row["document_name"] for row in theirs["mentioned"]} == {f"{SECRET}.md"}
    refused = clients["hr",].post("/v1/graph/search", json={"entity": name, "departments": ["hr", "legal"]})
    assert (refused.status_code, refused.json()["error"]["param"]) == (403, "departments")


def test_an_unknown_entity_names_similar_ones(
    clients: dict[tuple[str, ...], httpx.Client], client: httpx.Client
) -> None:
    response = clients["hr",].post("/v1/graph/search", json={"entity": "자수정"})
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["param"]) == (404, "not_found", "entity")
    assert "it has 자수정 규정" in error["message"]
    for outsider, entity in ((clients["hr",], "은방울"), (client, "자수정")):
        unknown = outsider.post("/v1/graph/search", json={"entity": entity})
        assert unknown.json()["error"]["message"] == f"the graph has no entity {entity!r}"


def test_the_trace_of_an_unknown_entity_has_no_personal_data(clients: dict[tuple[str, ...], httpx.Client]) -> None:
    client = clients["hr",]
    assert client.post("/v1/graph/search", json={"entity": "김민준 010-2345-6789"}).status_code == 404
    newest = client.get("/v1/traces", params={"limit": 1}).json()["traces"][0]
    found = client.get(f"/v1/traces/{newest['trace_id']}")
    assert "[PHONE_NUMBER]" in found.json()["roots"][0]["message"]
    assert "2345" not in found.text


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"entity": ""}, "entity"),
        ({"entity": "x" * 501}, "entity"),
        ({"entity": "x", "hops": 3}, "hops"),
        ({"entity": "x", "limit": 0}, "limit"),
        ({"entity": "x", "limit": 101}, "limit"),
        ({"entity": "x", "departments": []}, "departments"),
        ({"name": "x"}, "entity"),
    ],
)
def test_a_bad_search(client: httpx.Client, body: dict[str, Any], param: str) -> None:
    response = client.post("/v1/graph/search", json=body)
    assert (response.status_code, response.json()["error"]["param"]) == (422, param)


def test_the_graph_switched_off(tmp_path: Path) -> None:
    with Runtime(Settings.model_validate({"data_dir": tmp_path, "graph": {"enabled": False}})) as runtime:
        key = runtime.keys.create(TENANT, ("hr",), Role.READER)[0]
        with serving(create_app(runtime)) as url:
            headers = {"Authorization": f"Bearer {key}"}
            response = httpx.post(f"{url}/v1/graph/search", json={"entity": "x"}, headers=headers)
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["param"]) == (409, "conflict", "graph.enabled")
