"""How far the supervisor goes: rounds, lengths, many runs at once, runs that nobody waits for."""

from __future__ import annotations

import itertools
import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from environments import StartPlugin
from scripted_dify import Dify, Says, Transcript, chunk, found, model, passage, run, steps, text, tool

from dify_plugins.tooling.daemon import MAX_LINE, Message, PluginError, PluginProcess


@pytest.fixture
def plugin(start_plugin: StartPlugin, python: str) -> PluginProcess:
    return start_plugin("llmflow_supervisor", python)


def retrieve(_: Any) -> list[Message]:
    return found(passage("c1", "열흘까지 이월된다."))


@pytest.mark.parametrize("limit", [1, 3, 30])
def test_a_model_that_calls_tools_for_ever_is_stopped_visibly(plugin: PluginProcess, limit: int) -> None:
    number = itertools.count()

    def replies(request: Message) -> Says:
        if request["tools"]:
            return Says(calls=[("retrieve", {"query": f"연차 {next(number)}"})])
        return Says("열흘입니다[1].") if dify.called else steps("하나", "둘")

    dify = Dify(replies, {"retrieve": retrieve})
    seen = run(plugin, dify, maximum_iterations=limit)
    assert len(dify.called) == limit
    assert len(dify.asked) == 1 + (limit + 1) + 1
    notice = f"※ 도구 사용이 한도({limit}회)에 이르러, 지금까지 찾은 내용으로 답합니다."
    assert seen.text.startswith(f"{notice}\n\n열흘입니다[1].")
    assert seen.totals["notices"] == [notice]
    *_, last_round, answer = seen.log()
    assert last_round.data["note"] == f"도구를 쓰는 라운드가 한도({limit}회)에 이르러 더 호출하지 않았습니다."
    assert answer.status == "success"


def test_a_run_within_its_limit_says_nothing_of_it(plugin: PluginProcess) -> None:
    script = [steps("하나", "둘"), Says(calls=[("retrieve", {"query": "연차"})]), Says("적음"), Says("답")]
    seen = run(plugin, Dify(script, {"retrieve": retrieve}), maximum_iterations="1")
    assert seen.text == "답"
    assert len(seen.totals["plan"]) == 1, "no more steps than rounds"


def test_an_answer_that_breaks_off_says_so(plugin: PluginProcess) -> None:
    seen = run(plugin, Dify([steps("하나"), Says("적음"), Says("연차는 열", finish="length")]))
    assert seen.text == "연차는 열\n\n※ 모델의 최대 토큰 수에 이르러 답이 여기서 끊겼습니다."
    assert seen.totals["notices"] == ["※ 모델의 최대 토큰 수에 이르러 답이 여기서 끊겼습니다."]


def test_a_round_makes_eight_calls_at_most(plugin: PluginProcess) -> None:
    calls = [("retrieve", {"query": f"연차 {number}"}) for number in range(11)]
    dify = Dify([steps("하나"), Says(calls=calls), Says("적음"), Says("답")], {"retrieve": retrieve})
    run(plugin, dify)
    assert len(dify.called) == 8
    told = [each["content"] for each in dify.asked[2]["prompt_messages"] if each["role"] == "tool"]
    assert ["8개까지만" in each for each in told] == [False] * 8 + [True] * 3


def test_long_results_are_cut_to_the_model_and_say_so(plugin: PluginProcess) -> None:
    tools = {"page": lambda _: [text("가" * 3_000_000)], "retrieve": lambda _: found(*huge)}
    huge = [passage(f"c{number}", f"{number}번 " + "나" * 20_000) for number in range(100)]
    script = [
        steps("읽기"),
        Says(calls=[("page", {}), ("retrieve", {"query": "연차"})]),
        Says("적음"),
        Says("".join(f"[{number}]" for number in range(1, 101))),
    ]
    dify = Dify(script, tools)
    given = [tool("page", {}), tool("retrieve")]
    seen = run(plugin, dify, tools=given, model=model(context_size=8_000))
    for request in dify.asked:
        assert sum(len(each["content"] or "") for each in request["prompt_messages"]) < 8_000
    page, passages = dify.asked[2]["prompt_messages"][-2:]
    assert "[3,000,000자 가운데 " in page["content"]
    assert "[1] 취업규칙.pdf, 3쪽\n0번 나나" in passages["content"]
    assert "자 가운데 " in passages["content"]
    assert "[길이 때문에 문단 " in passages["content"]
    shown = len(seen.resources)
    assert 0 < shown < 100, "what the model was not shown it may not cite"
    assert seen.log()[-1].data["citations_without_passage"] == list(range(shown + 1, 101))
    assert plugin.longest_line < MAX_LINE


def test_a_long_question_leaves_room_for_what_was_found(plugin: PluginProcess) -> None:
    def said(length: int) -> tuple[Dify, Transcript]:
        script = [Says("?"), Says(calls=[("retrieve", {"query": "연차"})]), Says("적음"), Says("열흘[1].")]
        dify = Dify(script, {"retrieve": retrieve})
        return dify, run(plugin, dify, query="가" * length, model=model(context_size=8_192))

    cut_off = "※ 질문이 이 모델이 읽을 수 있는 길이보다 길어 앞부분만 보고 답합니다."
    for length, notices in ((2_500, []), (4_000, [cut_off]), (100_000, [cut_off])):
        dify, seen = said(length)
        for request in dify.asked:
            assert sum(len(each["content"] or "") for each in request["prompt_messages"]) < 8_192 - 2_048
        written_from = dify.asked[-1]["prompt_messages"][-1]["content"]
        assert "[1] 취업규칙.pdf, 3쪽\n열흘까지 이월된다." in written_from
        assert seen.totals["notices"] == notices


def test_passages_without_room_are_said_to_be_left_out(plugin: PluginProcess) -> None:
    script = [steps("하나"), Says(calls=[("retrieve", {"query": "연차"})]), Says("적음"), Says("모릅니다.")]
    dify = Dify(script, {"retrieve": retrieve})
    seen = run(plugin, dify, instruction="가" * 7_000, model=model(context_size=8_192))
    assert seen.text == "※ 찾은 문단 가운데 1개는 길이 때문에 답에 쓰지 못했습니다.\n\n모릅니다."
    assert "-" not in dify.asked[-1]["prompt_messages"][-1]["content"].partition(">")[2].partition("</")[0]


def test_nested_braces_hold_nobody_up(plugin: PluginProcess) -> None:
    def broken(_: Any) -> list[Message]:
        raise RuntimeError('{"a":' * 20_000)

    script = [Says('{"a":' * 9_000, piece=100_000), Says(calls=[("retrieve", {"query": "연차"})])]
    seen = run(plugin, Dify([*script, Says("적음"), Says("답")], {"retrieve": broken}))
    assert seen.text.endswith("답")
    assert max(line.metadata["elapsed_time"] for line in seen.log()) < 5


def test_old_messages_give_way_in_a_long_run(plugin: PluginProcess) -> None:
    number = itertools.count()

    def replies(request: Message) -> Says:
        turn = next(number)
        if turn == 0:
            return steps("하나")
        return Says(calls=[("page", {"query": f"{turn}"})]) if request["tools"] and turn < 12 else Says("적음")

    dify = Dify(replies, {"page": lambda parameters: [text(f"{parameters['query']}쪽: " + "가" * 2_500)]})
    history = [
        {"role": "user", "content": "예전 질문 " + "다" * 2_000, "name": None},
        {"role": "assistant", "content": "예전 답", "name": None, "tool_calls": []},
    ]
    given = {"model": model(context_size=8_000, history=history), "tools": [tool("page")], "maximum_iterations": 30}
    seen = run(plugin, dify, query="모든 쪽을 요약해 주세요", **given)
    request = dify.asked[11]["prompt_messages"]
    assert sum(len(each["content"] or "") for each in request) < 8_000
    assert "모든 쪽을 요약해 주세요" in request[3]["content"], "the question stays"
    assert request[-1]["content"].startswith("10쪽: " + "가" * 1_000), "the latest result stays"
    assert "자만 실었습니다]" in request[5]["content"]
    assert seen.log()[11].children[0].data["shortened_messages"] > 0


def test_an_endless_model_answer_stays_under_the_line_limit(plugin: PluginProcess) -> None:
    script = [steps("하나"), Says("적음 " * 700_000, piece=3_000_000), Says("답 " * 1_000_000, piece=1_000_000)]
    seen = run(plugin, Dify(script), model=model(context_size=2_000_000))
    assert len(seen.text) == 1_999_999 + 1
    assert plugin.longest_line < MAX_LINE


def test_twenty_runs_at_once_keep_apart_and_the_heart_beats(plugin: PluginProcess) -> None:
    def number_of(request: Message) -> str:
        said = json.dumps(request["prompt_messages"], ensure_ascii=False)
        return said.split("<<", 1)[1].split(">>", 1)[0]

    def replies(request: Message) -> Any:
        number = number_of(request)
        last = request["prompt_messages"][-1]

        def slowly(_: Message) -> Iterator[Message]:
            for word in (f"{number}번은 ", "열흘", "[1]."):
                time.sleep(0.15)
                yield chunk({"content": word})

        if request["tools"] and last["role"] != "tool":
            return Says(calls=[("retrieve", {"query": number})])
        return slowly if "material-" in last["content"] else Says(json.dumps({"steps": [f"<<{number}>> 확인"]}))

    def slow(parameters: Any) -> list[Message]:
        time.sleep(0.5)
        return found(passage(f"c{parameters['query']}", f"{parameters['query']}번 문단"))

    dify = Dify(replies, {"retrieve": slow})
    begun = time.monotonic()
    with ThreadPoolExecutor(20) as pool:
        asked = [pool.submit(run, plugin, dify, query=f"<<{number}>>번 연차는?") for number in range(20)]
        seen = [each.result() for each in asked]
    for number, transcript in enumerate(seen):
        assert transcript.text.startswith(f"{number}번은 열흘[1].")
        assert [each["segment_id"] for each in transcript.resources] == [f"c{number}"]
        assert len(transcript.log()) == 4
        assert transcript.totals["execution_metadata"]["total_tokens"] == 330
    beats = [beat for beat in plugin.heartbeats if beat > begun - 1.5]
    assert beats, "no heartbeat while twenty runs went on"
    assert not [line for line in plugin.log if "session_id" in line], "lines of two runs ran into one"


def test_a_run_nobody_reads_any_more_harms_no_other(plugin: PluginProcess) -> None:
    def replies(request: Message) -> Says:
        if request["tools"]:
            return Says("적음")
        return Says("답") if "material-" in request["prompt_messages"][-1]["content"] else steps("하나")

    dify = Dify(replies)
    plugin.handlers.update(dify.handlers)
    given = {"model": model(), "tools": [tool("retrieve")], "query": "연차는?"}
    messages = plugin.invoke_strategy("llmflow_supervisor", "supervisor", given)
    next(messages)
    messages.close()
    assert run(plugin, dify).text == "답"
    assert plugin.alive


@pytest.fixture
def lonely(start_plugin: StartPlugin, python: str) -> Iterator[tuple[PluginProcess, socket.socket]]:
    """A plugin that waits a second for Dify, on a host that asks for LangSmith's tracing; and where that would go."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(1)
        environment = {
            "MAX_INVOCATION_TIMEOUT": "1",
            "LANGSMITH_TRACING": "true",
            "LANGCHAIN_TRACING_V2": "true",
            "LANGSMITH_API_KEY": "key",
            "LANGSMITH_ENDPOINT": f"http://127.0.0.1:{listener.getsockname()[1]}",
        }
        yield start_plugin("llmflow_supervisor", python, environment=environment), listener


def test_a_dify_that_never_answers_ends_the_run_and_nobody_else_is_told(
    lonely: tuple[PluginProcess, socket.socket],
) -> None:
    plugin, listener = lonely
    never = threading.Event()

    def silent(_: Message) -> Iterator[Message]:
        never.wait()
        yield from ()

    seen = Transcript()
    try:
        with pytest.raises(PluginError, match="호출에 실패하여 멈췄습니다: invocation exited without response"):
            run(plugin, Dify([steps("하나"), silent]), seen)
    finally:
        never.set()
    assert [line.status for line in seen.log()] == ["success", "error"]
    with pytest.raises(TimeoutError):
        listener.accept()
