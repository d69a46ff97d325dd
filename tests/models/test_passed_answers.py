"""Streams on their way: cut between events only, however the bytes come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable

import httpx
import pytest

from llmflow.errors import UpstreamError
from llmflow.models.passing import Endpoint, PassedAnswer

FINISHED = b'data: {"choices": [{"finish_reason": "stop"}]}\n\n'


class Parts(httpx.AsyncByteStream):
    def __init__(self, parts: Iterable[bytes]) -> None:
        self._parts = parts

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self._parts:
            yield part


def passed(parts: Iterable[bytes]) -> list[bytes]:
    response = httpx.Response(200, stream=Parts(parts))

    async def run() -> list[bytes]:
        answer = PassedAnswer(response, Endpoint("http://llm/v1", 60), lambda: None)
        return [events async for events in answer.events()]

    return asyncio.run(run())


def test_a_long_event_in_many_parts() -> None:
    """What has been looked through is not looked through again: that would take minutes here."""
    long = b"data: " + b"x" * 8_000_000 + b"\r\n\r\n"
    parts = [long[at : at + 100] for at in range(0, len(long), 100)]
    assert passed([*parts, FINISHED]) == [long, FINISHED]


@pytest.mark.parametrize("blank", [b"\n\n", b"\r\n\r\n", b"\n\r\n"])
def test_ends_of_events_fall_anywhere(blank: bytes) -> None:
    text = b": one" + blank + b": two" + blank + FINISHED
    assert b"".join(passed(bytes([byte]) for byte in text)) == text
    assert [b": one" + blank, b": two" + blank] == passed(bytes([byte]) for byte in text)[:2]


@pytest.mark.parametrize("cut", [b'data: {"choices":[],"usa', b"data: [DON", b"dat", b"data: {}\nid"])
def test_a_piece_that_breaks_off_after_the_end_is_left_out(cut: bytes) -> None:
    assert passed([FINISHED, cut]) == [FINISHED]


@pytest.mark.parametrize("last", [b'data: {"choices":[]}', b"data: [DONE]\n", b"data: [DONE]"])
def test_a_last_event_without_its_blank_line_is_passed_on(last: bytes) -> None:
    assert passed([FINISHED, last]) == [FINISHED, last]


def test_numbers_of_tokens_that_are_none() -> None:
    usage = b'data: {"usage": {"prompt_tokens": 1e400}}\n\n'
    assert passed([FINISHED, usage]) == [FINISHED, usage]


def test_a_piece_that_breaks_off_before_the_end_is_an_error() -> None:
    with pytest.raises(UpstreamError, match="broke off"):
        passed([b'data: {"cho'])
