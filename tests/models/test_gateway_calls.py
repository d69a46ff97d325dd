"""The gateway's own part: deadlines, its circuit breaker, and lists in forms of all kinds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any, TypeVar

import pytest
from json_server import Answer, JsonServer, json_server

from llmflow.errors import InvalidInputError, NotFoundError, UpstreamError
from llmflow.models.gateway import Gateway, ServedModel, TokenCount
from llmflow.settings import LLMSettings

T = TypeVar("T")

LIST = {"object": "list", "data": [{"id": "student", "owned_by": "vllm"}]}
BODY = b'{"model": "student"}'


def with_gateway(server: JsonServer, work: Callable[[Gateway], Awaitable[T]], **settings: Any) -> T:
    """What ``work`` makes of a gateway to the server."""

    async def run() -> T:
        url = f"{server.base_url}/v1"
        async with aclosing(Gateway(url, LLMSettings(base_url=url, **settings))) as gateway:
            return await work(gateway)

    return asyncio.run(run())


async def complete(gateway: Gateway) -> bytes:
    async with aclosing(await gateway.open("student", BODY)) as answer:
        return await answer.read()


@pytest.mark.parametrize("trouble", ["hang", "drip"])
def test_a_list_has_a_deadline_of_its_own(trouble: Any) -> None:
    with json_server(Answer(LIST, trouble=trouble)) as server, pytest.raises(UpstreamError, match=r"within 0\.1 s"):
        with_gateway(server, lambda gateway: gateway.models(0.1), timeout_s=60)


@pytest.mark.parametrize(
    ("entries", "models"),
    [
        ([], ()),
        ([{"id": "a"}], (ServedModel("a", "unknown"),)),
        ([{"id": "a", "created": None, "owned_by": None, "parent": None}], (ServedModel("a", "unknown"),)),
        (
            [{"id": "b", "owned_by": "me", "parent": "a"}, {"id": "a", "created": 3, "max_model_len": 9}],
            (ServedModel("b", "me", 0, "a", 9), ServedModel("a", "unknown", 3, None, 9)),
        ),
        ([{"id": "b", "parent": "gone"}], (ServedModel("b", "unknown", 0, "gone"),)),
        (
            [{"id": "b", "created": float("inf"), "max_model_len": float("inf"), "parent": 5}],
            (ServedModel("b", "unknown", 0, "5"),),
        ),
        ([{"id": "b", "created": "soon", "max_model_len": {"in": 9}}], (ServedModel("b", "unknown"),)),
    ],
)
def test_lists(entries: list[dict[str, Any]], models: tuple[ServedModel, ...]) -> None:
    with json_server({"data": entries}) as server:
        assert with_gateway(server, lambda gateway: gateway.models()) == models


@pytest.mark.parametrize(
    "body", [[], {"data": None}, {"data": [{"name": "a"}]}, {"data": ["a"]}, {"data": [{"id": "a", "parent": {}}]}]
)
def test_what_is_no_list(body: Any) -> None:
    with json_server(body) as server, pytest.raises(UpstreamError, match="no list of models"):
        with_gateway(server, lambda gateway: gateway.models())


def test_an_endpoint_that_fails_is_left_alone_and_tried_again() -> None:
    failing = True

    def decide(path: str, body: Any) -> Answer:
        if path == "/v1/models":
            return Answer(LIST)
        return Answer({"error": {"message": "dead"}}, status=503) if failing else Answer({"choices": []})

    async def work(gateway: Gateway) -> None:
        nonlocal failing
        for words in ("dead", "dead", "left alone"):
            with pytest.raises(UpstreamError, match=words):
                await complete(gateway)
        assert len(await gateway.models()) == 1  # listing is another matter
        assert gateway.breaker.state == "open"
        failing = False
        await asyncio.sleep(0.25)
        assert await complete(gateway) == b'{"choices": []}'
        assert gateway.breaker.state == "closed"

    with json_server(decide=decide) as server:
        with_gateway(server, work, breaker_failures=2, breaker_pause_s=0.2)
        assert [path for path, _ in server.calls].count("/v1/chat/completions") == 3


def test_an_endpoint_that_refuses_works() -> None:
    def decide(path: str, body: Any) -> Answer:
        return Answer(LIST) if path == "/v1/models" else Answer({"error": {"message": "odd"}}, status=400)

    async def work(gateway: Gateway) -> None:
        for _ in range(3):
            with pytest.raises(InvalidInputError, match="odd"):
                await complete(gateway)

    with json_server(decide=decide) as server:
        with_gateway(server, work, breaker_failures=2)


@pytest.mark.parametrize("reply", [Answer({}, trouble="hang"), Answer({"error": {"message": "odd"}}, status=500)])
def test_one_callers_trouble_closes_nothing_for_others(reply: Answer) -> None:
    async def work(gateway: Gateway) -> None:
        for _ in range(3):
            with pytest.raises(UpstreamError, match=r"odd|said nothing"):
                await complete(gateway)
        assert gateway.breaker.state == "closed"

    with json_server(decide=lambda path, _: Answer(LIST) if path == "/v1/models" else reply) as server:
        with_gateway(server, work, breaker_failures=2, timeout_s=0.2)


def test_a_model_nobody_serves_tries_nothing() -> None:
    failing = True

    def decide(path: str, body: Any) -> Answer:
        if path == "/v1/models":
            return Answer(LIST)
        return Answer({"error": {"message": "dead"}}, status=503) if failing else Answer({"choices": []})

    async def work(gateway: Gateway) -> None:
        nonlocal failing
        for _ in range(2):
            with pytest.raises(UpstreamError, match="dead"):
                await complete(gateway)
        await asyncio.sleep(0.25)
        with pytest.raises(NotFoundError):
            await gateway.open("gpt-4", BODY)
        assert gateway.breaker.state == "open"
        failing = False
        assert await complete(gateway) == b'{"choices": []}'  # at once: the place of the one that tries is free

    with json_server(decide=decide) as server:
        with_gateway(server, work, breaker_failures=2, breaker_pause_s=0.2)


@pytest.mark.parametrize(
    "body", [b'{"count": 1e400}', b'{"count": 3, "max_model_len": 1e400}', b'{"count": 3, "max_model_len": {}}', b"[]"]
)
def test_odd_counts_of_tokens(body: bytes) -> None:
    def decide(path: str, _: Any) -> Answer:
        return Answer(LIST if path == "/v1/models" else body)

    with json_server(decide=decide) as server:
        counted = with_gateway(server, lambda gateway: gateway.count_tokens("student", {"prompt": "x"}))
    assert counted == TokenCount(3 if b"3" in body else None, None)


def test_a_stream_that_breaks_off_counts_as_a_failure() -> None:
    def decide(path: str, body: Any) -> Answer:
        if path == "/v1/models":
            return Answer(LIST)
        return Answer(b'data: {"choices": []}\n\n', headers={"Content-Type": "text/event-stream"}, trouble="cut")

    async def work(gateway: Gateway) -> None:
        for _ in range(2):
            async with aclosing(await gateway.open("student", BODY)) as answer:
                assert answer.is_stream
                with pytest.raises(UpstreamError):
                    [events async for events in answer.events()]
        assert gateway.breaker.state == "open"

    with json_server(decide=decide) as server:
        with_gateway(server, work, breaker_failures=2)
