"""Nobody learns anything of another tenant or department: every route, every kind of foreign id, every role.

What is foreign must look like what does not exist. The routes are those of the OpenAPI
document: one that takes an id and is not listed in ``TAKES`` fails a test.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIWebSocketRoute
from strangers import DATASET, OWNED, QUESTION, SECRETS, Caller, World, open_world

from llmflow.schema import Role
from llmflow.server.routes import routers


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with open_world(tmp_path_factory.mktemp("isolation")) as opened:
        yield opened


# -- the routes -----------------------------------------------------------------------------------

ID = "{ID}"
"""Stands for an id in requests below."""


@dataclass(frozen=True, eq=False)
class Request:
    """A request with an id in it; ``kind`` is what the id must be of for the request to succeed."""

    kind: str
    body: Mapping[str, Any] = field(default_factory=dict)
    form: Mapping[str, Any] = field(default_factory=dict)
    query: Mapping[str, Any] = field(default_factory=dict)
    accept: str = "*/*"


CONDITION = {"conditions": [{"name": "document_id", "comparison_operator": "is", "value": ID}]}
TAKES: Mapping[tuple[str, str], tuple[Request, ...]] = {
    ("GET", "/v1/documents"): (Request("dataset", query={"dataset_id": ID}), Request("document", query={"name": ID})),
    ("GET", "/v1/documents/{}"): (Request("document"),),
    ("GET", "/v1/documents/{}/original"): (Request("document"),),
    ("GET", "/v1/documents/{}/chunks"): (Request("document"),),
    ("GET", "/v1/jobs/{}"): (Request("job"), Request("job", accept="text/event-stream")),
    ("GET", "/v1/traces/{}"): (Request("trace"),),
    ("POST", "/v1/feedback"): (Request("trace", {"trace_id": ID, "value": 1}),),
    ("POST", "/v1/retrieve"): (
        Request("department", {"query": QUESTION, "departments": [ID]}),
        Request("document", {"query": QUESTION, "filter": CONDITION}),
    ),
    ("POST", "/v1/graph/search"): (Request("department", {"entity": "자수정코끼리 규정", "departments": [ID]}),),
    ("POST", "/v1/answer"): (Request("department", {"question": QUESTION, "departments": [ID]}),),
    ("POST", "/retrieval"): (
        Request("department", {"knowledge_id": ID, "query": QUESTION}),
        Request("document", {"knowledge_id": "all", "query": QUESTION, "metadata_condition": CONDITION}),
    ),
    ("POST", "/v1/documents"): (Request("department", form={"department": ID}),),
    ("GET", "/v1/chat/{}"): (Request("session"),),
    ("GET", "/v1/chat/{}/events"): (Request("session"),),
    ("POST", "/v1/chat/{}"): (Request("session", {"question": "그 수당은 누구에게 줍니까?"}),),
    ("DELETE", "/v1/chat/{}"): (Request("session"),),
    ("DELETE", "/v1/memory/{}"): (Request("memory"),),
    ("DELETE", "/v1/documents/{}"): (Request("document"),),
}
"""Requests that take an id, the destructive ones last."""
WEBSOCKETS = {"/v1/chat/{}"}

_ID_FIELD = re.compile(r"(^|_)(ids?|session|sessions|tenants?|departments?|filter|metadata_condition|prefix)$")


def operations(app: FastAPI) -> Iterator[tuple[tuple[str, str], dict[str, Any]]]:
    for path, methods in app.openapi()["paths"].items():
        for method, operation in methods.items():
            yield (method.upper(), re.sub(r"\{[^}]*\}", "{}", path)), operation


def id_fields(document: Mapping[str, Any], operation: Mapping[str, Any]) -> list[str]:
    """Everything an operation takes that is, or may hold, an id."""
    found = [
        parameter["name"]
        for parameter in operation.get("parameters", ())
        if parameter["in"] == "path" or _ID_FIELD.search(parameter["name"])
    ]
    for content in operation.get("requestBody", {}).get("content", {}).values():
        found += [name for name in names(document, content["schema"]) if _ID_FIELD.search(name)]
    return found


def names(document: Mapping[str, Any], schema: Any) -> Iterator[str]:
    """The names of all properties of a schema, at any depth."""
    match schema:
        case {"$ref": str(reference)}:
            yield from names(document, document["components"]["schemas"][reference.rsplit("/", 1)[1]])
        case dict():
            yield from schema.get("properties", ())
            for inner in schema.values():
                yield from names(document, inner)
        case list():
            for inner in schema:
                yield from names(document, inner)


def send(caller: Caller, target: tuple[str, str], request: Request, id: str) -> httpx.Response:
    method, path = target
    body, form, query = json.loads(json.dumps([request.body, request.form, request.query]).replace(ID, id))
    arguments: dict[str, Any] = {"params": query, "headers": {"Accept": request.accept}}
    if body:
        arguments["json"] = body
    if form:
        arguments |= {"data": form, "files": {"files": ("probe.md", b"# probe\n\nnothing to see", "text/markdown")}}
    return caller.call(method, path.replace("{}", id), **arguments)


_VOLATILE = re.compile(
    r'"(?:request_id|trace_id|created_at|updated_at|timestamp|id|job_id|document_id)": ?"[^"]*"'
    r'|"(?:timings_ms)": ?\{[^}]*\}|"(?:cached|ms|duration_ms)": ?[^,}]*|^(?:id:|: ping).*$',
    re.MULTILINE,
)


def told(response: httpx.Response, id: str) -> tuple[int, dict[str, str], str]:
    """What a response tells, without the id it was asked for and what differs every time."""
    headers = {
        name: value
        for name, value in response.headers.items()
        if name not in ("x-request-id", "content-length", "date", "traceparent", "server-timing")
    }
    return response.status_code, headers, _VOLATILE.sub("", response.text.replace(id, "<id>"))


def absent(id: str) -> str:
    """An id of the same form that nothing has."""
    return "zz" if id == "hr" else "0" * len(id)


# -- the tests ------------------------------------------------------------------------------------


def test_every_route_that_takes_an_id_is_tried(world: World) -> None:
    document = world.app.openapi()
    taking = {target for target, operation in operations(world.app) if id_fields(document, operation)}
    assert taking == set(TAKES), "list the route in TAKES with the kind of id it takes"
    sockets = {
        re.sub(r"\{[^}]*\}", "{}", route.path)
        for route in (*world.app.routes, *(route for router in routers() for route in router.routes))
        if isinstance(route, APIWebSocketRoute)
    }
    assert sockets == WEBSOCKETS


def test_a_websocket_knows_nothing_of_a_foreign_session(world: World) -> None:
    session = world.owned["session"]
    before = world.owner.json("GET", f"/v1/chat/{session}")
    assert before["messages"]
    for stranger in world.strangers.values():
        answers = []
        for each in (session, absent(session)):
            with world.client.websocket_connect(f"/v1/chat/{each}", subprotocols=["llmflow", stranger.key]) as socket:
                socket.send_json({"resume": 0})
                answers.append(_VOLATILE.sub("", socket.receive_text().replace(each, "<id>")))
        assert answers[0] == answers[1]
        assert "not_found" in answers[0]
    assert world.owner.json("GET", f"/v1/chat/{session}") == before


@cache
def attempt(caller: Caller, target: tuple[str, str], request: Request, id: str) -> httpx.Response:
    """A request that changes nothing for those after it, if it is one that should come to nothing."""
    response = send(caller, target, request, id)
    if "/chat/" in target[1]:
        caller.call("DELETE", f"/v1/chat/{id}")
    return response


def leaks(world: World, response: httpx.Response, asked: str) -> list[str]:
    """Words and ids of the owner's in a response to somebody else."""
    words = {*SECRETS, *world.owned.values()} - {"hr", asked}
    return [word for word in words if word in response.text]


def views(caller: Caller, app: FastAPI) -> dict[str, Any]:
    """Everything a caller can see without knowing an id."""
    found: dict[str, Any] = {}
    for query in (QUESTION, "자수정코끼리", "출장비"):
        result = caller.json("POST", "/v1/retrieve", json={"query": query, "top_k": 50, "threshold": 0})
        found[f"retrieve {query}"] = [(hit["chunk"]["id"], hit["score"], hit["stages"]) for hit in result["candidates"]]
    for (method, path), _ in operations(app):
        if method == "GET" and "{}" not in path and path.startswith("/v1/") and path != "/v1/traces":
            found[path] = caller.call("GET", path).text
    return found


def test_nothing_a_caller_sees_changes_when_others_work(world: World) -> None:
    watchers = [world.strangers[where, Role.ADMINISTRATOR] for where in ("tenant", "department")]
    before = [views(watcher, world.app) for watcher in watchers]
    document, _ = world.owner.ingest(
        "second.md", OWNED.replace("770,000", "880,000"), "hr", DATASET, project="은방울계획"
    )
    answer = world.owner.json("POST", "/v1/answer", json={"question": "자수정코끼리 직원의 근속수당은 얼마인가요?"})
    world.owner.json("POST", "/v1/feedback", json={"trace_id": answer["trace_id"], "value": 1, "comment": "비밀의견"})
    assert [views(watcher, world.app) for watcher in watchers] == before
    traces = [trace["trace_id"] for watcher in watchers for trace in watcher.json("GET", "/v1/traces")["traces"]]
    assert answer["trace_id"] not in traces
    world.owner.json("DELETE", f"/v1/documents/{document}")
    assert [views(watcher, world.app) for watcher in watchers] == before


def test_an_answer_of_another_scope_never_comes_from_the_cache(world: World) -> None:
    question = {"question": QUESTION}
    cached = world.owner.json("POST", "/v1/answer", json=question)
    assert cached["cached"]
    assert "770,000" in cached["text"]
    for where in ("tenant", "department"):
        stranger = world.strangers[where, Role.READER]
        first = stranger.call("POST", "/v1/answer", json=question)
        assert not first.json()["cached"]
        assert "50,000" in first.json()["text"]
        assert leaks(world, first, "") == []
        assert stranger.json("POST", "/v1/answer", json=question)["cached"]


def test_no_secret_is_in_the_metrics(world: World) -> None:
    text = world.client.get("/metrics").text
    assert "llmflow" in text
    for word in (*SECRETS, *(id for kind, id in world.owned.items() if kind != "department")):
        assert word not in text


def test_what_is_foreign_looks_like_what_does_not_exist(world: World) -> None:
    differing, leaking = [], []
    for ((where, role), stranger), (target, requests) in itertools.product(world.strangers.items(), TAKES.items()):
        for request, (kind, owned) in itertools.product(requests, world.owned.items()):
            if kind == "department" and where == "tenant":
                continue  # the stranger's tenant has a department of the same name
            if kind != request.kind and request.body.keys() & {"question", "query"}:
                continue  # these take their time
            for id in dict.fromkeys((owned, owned[:8])):
                what = (where, role.value, *target, request.kind, kind, id)
                foreign = attempt(stranger, target, request, id)
                nothing = attempt(stranger, target, request, absent(id))
                if told(foreign, id) != told(nothing, absent(id)):
                    differing.append((what, told(foreign, id), told(nothing, absent(id))))
                leaking += [(what, word) for word in leaks(world, foreign, id)]
    assert not differing, f"{len(differing)} responses tell a foreign id from none, the first: {differing[0]}"
    assert not leaking
    # All of it is still there, and each request succeeds for who owns what it names.
    for target, requests in TAKES.items():
        for request in requests:
            response = send(world.owner, target, request, world.owned[request.kind])
            assert response.is_success, (target, request, response.text)
