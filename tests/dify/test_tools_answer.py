"""Answers piece by piece: from a real server, and from one that makes them go wrong half way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from environments import StartPlugin
from faulty_server import FaultyServer, events, page, told
from llmflow_server import LLMFlowServer
from tool_calls import Result, Tools

from dify_plugins.tooling.daemon import MAX_LINE, Message, PluginError, Transport

QUESTION = "국외에서도 재택근무를 할 수 있나요?"
SENTENCE = "국외에서는 재택근무를 할 수 없다."


@pytest.fixture
def faulty() -> Iterator[FaultyServer]:
    """In the place of LLMFlow."""
    with FaultyServer(lambda _: page()).running() as running:
        yield running


@pytest.fixture
def tools(start_plugin: StartPlugin, faulty: FaultyServer, python: str) -> Tools:
    """The plugin in each environment, before that server."""
    credentials = {"base_url": faulty.url, "api_key": "llmflow_key", "language": "ko", "timeout_s": "20"}
    return Tools(start_plugin("llmflow", python), credentials)


def finished(text: str, **others: Any) -> tuple[str, dict[str, Any]]:
    """The last event of an answer."""
    answer = {
        "text": text,
        "citations": [],
        "mode": "generative",
        "unsupported": [],
        "retrieval": None,
        "degradations": [],
        "timings_ms": {},
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
        "cached": False,
    }
    return "finished", {**answer, **others}


def delta(text: str) -> tuple[str, dict[str, Any]]:
    """A piece of an answer."""
    return "delta", {"text": text}


def test_an_answer_comes_in_pieces(
    start_plugin: StartPlugin, server: LLMFlowServer, python: str, transport: Transport
) -> None:
    tools = Tools(start_plugin("llmflow", python, transport), server.credentials())
    messages = list(tools.messages("answer", question=QUESTION, top_k=3, departments="인사", use_cache=False))
    assert sum(message["type"] == "text" for message in messages) > 2
    result = tools.run("answer", question=QUESTION, top_k=3, departments="인사", use_cache=False)
    answer = result.variables["answer"]
    assert SENTENCE in answer
    assert result.streamed == {"answer": answer}
    assert result.text.startswith(f"{answer}\n\n출처:\n[1] 재택근무규정.md")
    assert result.json == result.variables
    assert result.variables["mode"] == "extractive"
    assert result.variables["cached"] is False
    assert result.variables["unsupported"] == result.variables["degradations"] == []
    cited = result.variables["citations"]
    assert any(citation["quote"] == SENTENCE for citation in cited)
    assert {each["position"] for each in result.resources} == {citation["number"] for citation in cited}
    assert all(citation["quote"] in result.context for citation in cited)
    assert {each["document_name"] for each in result.resources} == {"재택근무규정.md"}
    assert all(0 < each["score"] <= 1 for each in result.resources)


def citation(number: int, quote: str, name: str = "규정.pdf") -> dict[str, Any]:
    """A citation of the only passage of a document."""
    place = {"chunk_id": f"chunk of {name}", "document_id": f"id of {name}", "document_name": name, "page": None}
    return {**place, "number": number, "quote": quote, "span": [0, 9]}


def test_sources_have_the_numbers_of_the_text(tools: Tools, faulty: FaultyServer) -> None:
    cited = [citation(4, "휴가는 5일이다."), citation(2, "출장비는 7일 안에."), citation(4, "이월은 5일까지.")]
    cited += [citation(4, "휴가는 5일이다."), citation(9, "노트북은 회사 것.", "보안.md")]
    text = "휴가는 5일이다[4]. 출장비는 7일 안에[2]. 이월은 5일까지[4]. 휴가는 5일이다[4]. 노트북은 회사 것[9]."
    faulty.decide = lambda _: events(finished(text, citations=cited))
    result = tools.run("answer", question="휴가는?")
    assert [(each["position"], each["document_name"], each["content"]) for each in result.resources] == [
        (4, "규정.pdf", "휴가는 5일이다.\n이월은 5일까지."),
        (2, "규정.pdf", "출장비는 7일 안에."),
        (9, "보안.md", "노트북은 회사 것."),
    ]
    assert result.context.split("\n\n") == [
        "[4] 규정.pdf\n휴가는 5일이다.\n이월은 5일까지.",
        "[2] 규정.pdf\n출장비는 7일 안에.",
        "[9] 보안.md\n노트북은 회사 것.",
    ]
    assert result.text == f"{text}\n\n출처:\n[4] 규정.pdf\n[2] 규정.pdf\n[9] 보안.md"


def test_an_answer_given_before(start_plugin: StartPlugin, server: LLMFlowServer, python: str) -> None:
    tools = Tools(start_plugin("llmflow", python), server.credentials())
    question = f"재택근무 신청은 어떻게 하나요? {python}"
    first = tools.run("answer", question=question)
    again = tools.run("answer", question=question)
    anew = tools.run("answer", question=question, use_cache="false")
    assert [each.variables["cached"] for each in (first, again, anew)] == [False, True, False]
    assert again.text == first.text


def test_what_the_documents_do_not_say(start_plugin: StartPlugin, server: LLMFlowServer) -> None:
    result = Tools(start_plugin("llmflow"), server.credentials()).run("answer", question="화성의 위성은 몇 개인가요?")
    assert result.variables["mode"] == "abstained"
    assert result.text == result.variables["answer"] != ""
    assert result.resources == result.variables["citations"] == []


def test_what_was_void_is_said_to_be(tools: Tools, faulty: FaultyServer) -> None:
    degraded = [{"stage": "llm", "reason": "it hung up"}]
    faulty.decide = lambda _: events(
        delta("휴가는 "), delta("백 일"), ("discarded", {"reason": "the LLM hung up"}), delta("휴가는 "), delta("5일."),
        finished("휴가는 5일.", degradations=degraded, trace_id=None),
    )  # fmt: skip
    result = tools.run("answer", question="휴가는 며칠인가요?")
    assert result.variables["answer"] == "휴가는 5일."
    for shown in (result.text, result.streamed["answer"]):
        before, after = shown.split("the LLM hung up)")
        assert before.startswith("휴가는 백 일\n\n(위의 내용은 취소합니다.")
        assert after.startswith("\n\n휴가는 5일.")
    assert result.text.endswith("알림:\n- llm: it hung up")
    assert result.variables["degradations"] == ["llm: it hung up"]
    assert result.variables["trace_id"] == ""


def test_nothing_was_shown_before_it_was_void(tools: Tools, faulty: FaultyServer) -> None:
    faulty.decide = lambda _: events(("discarded", {"reason": "the LLM hung up"}), finished("휴가는 5일."))
    assert tools.run("answer", question="휴가는?").text == "휴가는 5일."


def test_the_final_answer_counts(tools: Tools, faulty: FaultyServer) -> None:
    faulty.decide = lambda _: events(delta("휴가는 백 일."), finished("휴가는 5일."))
    changed = tools.run("answer", question="휴가는?")
    assert changed.variables["answer"] == "휴가는 5일."
    assert changed.text == changed.streamed["answer"]
    assert changed.text.startswith("휴가는 백 일.\n\n(위의 내용은 취소합니다.")
    assert changed.text.endswith("\n\n휴가는 5일.")
    faulty.decide = lambda _: events(delta("휴가는"), finished("휴가는 5일."))
    assert tools.run("answer", question="휴가는?").text == "휴가는 5일."


def test_ten_megabytes_are_cut_where_all_can_see(tools: Tools, faulty: FaultyServer) -> None:
    text = "가" * 3_500_000
    for pieces in ([text], [text[i : i + 100_000] for i in range(0, len(text), 100_000)], []):
        faulty.decide = lambda _, pieces=pieces: events(*map(delta, pieces), finished(text))
        result = tools.run("answer", question="휴가는?")
        answer = result.variables["answer"]
        kept = len(answer) - 1
        assert answer == text[:kept] + "…"
        assert 300_000 < kept < 400_000
        note = f"답변이 너무 길어 3,500,000자 중 앞의 {kept:,}자만 담았습니다"
        assert result.variables["degradations"] == [note]
        assert result.text.endswith(f"…\n\n알림:\n- {note}")
        assert len(result.streamed["answer"]) < 400_000
    assert tools.plugin.alive
    assert tools.plugin.longest_line < MAX_LINE


def test_many_citations_are_cut_where_all_can_see(tools: Tools, faulty: FaultyServer) -> None:
    many = [citation(number, '"\n' * 1000) for number in range(2000)]
    faulty.decide = lambda _: events(delta("답"), finished("답", citations=many, unsupported=["\x00" * 1000] * 1000))
    result = tools.run("answer", question="휴가는?")
    kept = len(result.variables["citations"])
    assert 0 < kept == len(result.resources) < 2000
    assert f"2,000개 중 앞의 {kept:,}개만" in result.text
    assert len(result.variables["degradations"]) == 2
    assert tools.plugin.longest_line < MAX_LINE


def test_an_answer_that_ends_half_way(tools: Tools, faulty: FaultyServer) -> None:
    cut = events(delta("휴가는 "))
    cut.headers["Content-Length"] = "100000"
    for reply in (events(delta("휴가는 ")), cut, events()):
        faulty.decide = lambda _, reply=reply: reply
        assert "도중에 끊어졌습니다" in tools.failure("answer", question="휴가는?")


@pytest.mark.parametrize(
    "last", [None, ("delta", {}), ("discarded", {"reason": "the LLM hung up"})], ids=["cut", "unexpected", "discarded"]
)
def test_after_a_piece_the_failure_is_shown_as_well(tools: Tools, faulty: FaultyServer, last: Any) -> None:
    """Dify's chat shows the text so far, and of the error nothing."""
    faulty.decide = lambda _: events(delta("휴가는 "), *([last] if last else []))
    messages: list[Message] = []
    with pytest.raises(PluginError) as caught:
        messages.extend(tools.messages("answer", question="휴가는?"))
    shown = Result()
    for message in messages:
        shown.take(message["type"], message["message"])
    assert shown.text == shown.streamed["answer"]
    assert shown.text.startswith("휴가는 \n\n")
    assert shown.text.endswith(f"\n\n{caught.value.message}\n\n")


def test_before_a_piece_a_failure_is_an_error_only(tools: Tools, faulty: FaultyServer) -> None:
    faulty.decide = lambda _: events()
    kinds: list[str] = []
    with pytest.raises(PluginError):
        kinds.extend(message["type"] for message in tools.messages("answer", question="휴가는?"))
    assert set(kinds) == {"log"}


def test_an_error_in_the_midst(tools: Tools, faulty: FaultyServer) -> None:
    def error(code: str, **details: Any) -> tuple[str, dict[str, Any]]:
        return "error", {
            "error": {"code": code, "message": "the store is away", "type": "X", "param": None, "details": details},
            "request_id": "request-17",
        }

    for event, words in (
        (error("upstream"), ("잠시 뒤 다시", "the store is away")),
        (error("rate_limited", retry_after_s=6.6), ("7초 뒤에 다시", "요청 수를 넘었습니다")),
        (error("internal_error"), ("요청 번호(request-17)", "문제가 생겼습니다")),
        (error("timeout"), ("제때 만들지 못했습니다",)),
        (error("something_new"), ("the store is away",)),
        (("delta", "no object"), ("도중에 끊어졌습니다",)),
    ):
        faulty.decide = lambda _, event=event: events(delta("휴가는 "), event)
        failure = tools.failure("answer", question="휴가는?")
        assert all(word in failure for word in words), failure


def test_what_is_no_stream(tools: Tools, faulty: FaultyServer) -> None:
    faulty.decide = lambda _: page()
    assert "로그인 화면" in tools.failure("answer", question="휴가는?")
    faulty.decide = lambda _: told(429, "rate_limited", **{"Retry-After": "30"})
    assert "30초 뒤에" in tools.failure("answer", question="휴가는?")
    assert faulty.asked[-1].headers["authorization"] == "Bearer llmflow_key"


def test_a_stream_that_never_ends(tools: Tools, faulty: FaultyServer) -> None:
    faulty.decide = lambda _: events(*[delta("휴가 ")] * 200, pause_s=0.05)
    assert "제한 시간 1초" in tools.with_credentials(timeout_s="1").failure("answer", question="휴가는?")
