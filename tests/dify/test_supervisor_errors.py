"""What fails while the supervisor runs: who is told what, and the log that closes all the same."""

from __future__ import annotations

import json
from typing import Any

import pytest
from environments import StartPlugin, logged
from scripted_dify import Dify, Says, Transcript, found, labels, model, passage, run, steps, text, tool
from worded_errors import said_alone

from dify_plugins.tooling.daemon import Message, PluginError, PluginProcess

AWAY = RuntimeError('invoke llm model failed: PluginInvokeError: {"args": {}, "message": "connection refused"}')


@pytest.fixture
def plugin(start_plugin: StartPlugin, python: str) -> PluginProcess:
    return start_plugin("llmflow_supervisor", python)


def retrieve(_: Any) -> list[Message]:
    return found(passage("c1", "열흘까지 이월된다."))


def fails(plugin: PluginProcess, dify: Dify, **parameters: Any) -> tuple[PluginError, Transcript]:
    """The error of a run that has to end with one, and what came before it."""
    seen = Transcript()
    with pytest.raises(PluginError) as caught:
        run(plugin, dify, seen, **parameters)
    said_alone(caught.value)
    return caught.value, seen


STAGES = {
    "계획": [],
    "라운드 1": [steps("하나", "둘")],
    "라운드 2": [steps("하나", "둘"), Says(calls=[("retrieve", {"query": "연차"})])],
    "검토": [steps("하나", "둘"), Says("적음"), Says("적음")],
    "답변 작성": [steps("하나"), Says("적음")],
}


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("reply", [AWAY, Says("쓰다가 ", then=AWAY)], ids=["at once", "amid the answer"])
def test_a_model_that_cannot_be_called_ends_the_run(plugin: PluginProcess, stage: str, reply: Any) -> None:
    error, seen = fails(plugin, Dify([*STAGES[stage], reply], {"retrieve": retrieve}))
    assert error.kind == "InvokeServerUnavailableError"
    assert error.message == (
        "모델 student 호출에 실패하여 멈췄습니다: connection refused"
        " (Dify의 모델 제공자 설정에서 이 모델의 상태와 자격 증명을 확인해 주십시오.)"
    )
    log = seen.log()
    assert log[-1].label == stage
    assert [line.status for line in log] == ["success"] * (len(log) - 1) + ["error"]
    assert log[-1].error == log[-1].children[-1].error == error.message
    assert [each["type"] for each in seen.messages].count("json") == 0
    half = stage == "답변 작성" and isinstance(reply, Says)
    assert seen.text == (f"쓰다가 \n\n{error.message}" if half else ""), "half an answer is not left as a whole one"


def test_a_model_that_may_not_be_called(plugin: PluginProcess) -> None:
    denied = PermissionError("permission denied, you need to enable llm access in plugin manifest")
    error, _ = fails(plugin, Dify([denied]), query="How much leave?")
    assert error.message.startswith("Stopped because calling the model student failed: permission denied, you need")


def test_a_tool_that_fails_is_told_to_the_model_and_the_run_goes_on(plugin: PluginProcess) -> None:
    inner = {
        "args": {"traceback": 'Traceback (most recent call last):\n  File "x.py"\nOops'},
        "error_type": "ToolError",
        "message": "LLMFlow 서버에 연결하지 못했습니다. 주소를 확인해 주십시오.",
    }

    def broken(_: Any) -> list[Message]:
        raise RuntimeError(f"read tool response failed: PluginInvokeError: {json.dumps(inner, ensure_ascii=False)}")

    script = [
        steps("확인"),
        Says(calls=[("retrieve", {"query": "연차"}), ("weather", {})]),
        Says("연차 규정은 찾지 못했다"),
        Says("날씨는 맑지만 연차 규정은 알 수 없습니다."),
    ]
    dify = Dify(script, {"retrieve": broken, "weather": lambda _: [text("맑음")]})
    seen = run(plugin, dify, tools=[tool("retrieve"), tool("weather", {})])
    told = "도구 retrieve 호출에 실패했습니다: LLMFlow 서버에 연결하지 못했습니다. 주소를 확인해 주십시오."
    assert [each["content"] for each in dify.asked[2]["prompt_messages"][-2:]] == [told, "맑음"]
    log = seen.log()
    assert [line.status for line in log] == ["success"] * 4
    assert [line.status for line in log[1].children] == ["success", "error", "success"]
    assert log[1].children[1].error == told
    notice = "※ 쓰지 못한 도구가 있습니다: retrieve (LLMFlow 서버에 연결하지 못했습니다. 주소를 확인해 주십시오.)"
    assert seen.text == f"{notice}\n\n날씨는 맑지만 연차 규정은 알 수 없습니다."
    assert seen.totals["notices"] == [notice]
    assert "Traceback" not in json.dumps([dify.asked, seen.messages])


def test_tools_that_may_not_be_called_leave_an_answer_that_says_so(plugin: PluginProcess) -> None:
    def denied(_: Any) -> list[Message]:
        raise PermissionError("permission denied, you need to enable tool access in plugin manifest")

    script = [steps("look"), Says(calls=[("retrieve", {"query": "x"})]), Says("nothing"), Says("I cannot tell.")]
    seen = run(plugin, Dify(script, {"retrieve": denied}), query="How much leave?")
    assert seen.text.startswith("Note: some tools could not be used: retrieve (permission denied, you need to enable")


def test_a_result_that_the_sdk_cannot_read_is_said_in_a_sentence(plugin: PluginProcess) -> None:
    file = {"type": "binary_link", "message": {"text": "/files/tools/report.pdf"}}
    script = [steps("look"), Says(calls=[("retrieve", {"query": "x"})]), Says("nothing"), Says("I cannot tell.")]
    seen = run(plugin, Dify(script, {"retrieve": lambda _: [file]}), query="How much leave?")
    notice, _, answer = seen.text.partition("\n\n")
    assert notice == (
        "Note: some tools could not be used: retrieve (it sent a result of a kind that this agent cannot read,"
        " such as a file that is no image. Use tools that make files in a tool node outside the agent.)"
    )
    assert answer == "I cannot tell."


def test_halves_of_characters_in_what_a_model_writes_harm_nothing(plugin: PluginProcess) -> None:
    script = [
        Says('{"steps": ["연차 \\ud83d"]}'),
        Says(calls=[("retrieve", '{"query": "연차 \\ud83d \\ud83d\\ude00"}')]),
        Says("적음"),
        Says("답"),
    ]
    dify = Dify(script, {"retrieve": retrieve})
    seen = run(plugin, dify)
    assert seen.totals["plan"] == ["연차 ?"]
    assert dify.called[0]["tool_parameters"] == {"query": "연차 ? 😀"}


def test_a_tool_that_works_in_the_end_is_no_notice(plugin: PluginProcess) -> None:
    answers = iter([RuntimeError("busy")])

    def once_broken(parameters: Any) -> list[Message]:
        for error in answers:
            raise error
        return retrieve(parameters)

    search = Says(calls=[("retrieve", {"query": "연차"})])
    seen = run(plugin, Dify([steps("확인"), search, search, Says("찾음"), Says("열흘[1].")], {"retrieve": once_broken}))
    assert seen.totals["notices"] == []
    assert [line.status for line in seen.log()[1].children] == ["success", "error"]


def test_the_same_failing_call_is_made_twice_at_most(plugin: PluginProcess) -> None:
    def broken(_: Any) -> list[Message]:
        raise RuntimeError("timeout")

    search = Says(calls=[("retrieve", {"query": "연차", "extra": 1})])
    other = Says(calls=[("retrieve", {"query": "휴가"})])
    dify = Dify([steps("확인"), search, search, search, other, Says("없음"), Says("모릅니다.")], {"retrieve": broken})
    seen = run(plugin, dify)
    assert [each["tool_parameters"]["query"] for each in dify.called] == ["연차", "연차", "휴가"]
    assert "이미 2번 실패한 호출이라" in seen.log()[3].children[1].error
    assert "이미 2번 실패한 호출이라" in dify.asked[4]["prompt_messages"][-1]["content"]
    written_from = dify.asked[-1]["prompt_messages"][-1]["content"]
    assert written_from.count("도구 retrieve 호출에 실패했습니다: timeout") == 1


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (("search_web", {"query": "x"}), "'search_web'이라는 도구는 없습니다. 쓸 수 있는 도구: retrieve"),
        (("retrieve", '{"query": "연'), '인자가 JSON 객체가 아닙니다: \'{"query": "연\'.'),
        (("retrieve", '["연차"]'), "인자가 JSON 객체가 아닙니다"),
        (("retrieve", {"question": "연차"}), "필수 인자가 빠졌습니다: query."),
        (("retrieve", ""), "필수 인자가 빠졌습니다: query."),
        (("retrieve", '{"query": ' + '{"a":' * 400 + "1" + "}" * 401), "인자가 JSON 객체가 아닙니다"),
    ],
)
def test_a_wrong_call_is_told_to_the_model_and_counts(plugin: PluginProcess, call: Any, told: str) -> None:
    dify = Dify([steps("확인"), Says(calls=[call]), Says(calls=[call]), Says("답")], {"retrieve": retrieve})
    seen = run(plugin, dify, maximum_iterations=1)
    assert dify.called == []
    request = dify.asked[2]["prompt_messages"]
    assert told in request[-1]["content"]
    arguments = request[-2]["tool_calls"][0]["function"]["arguments"]
    assert isinstance(json.loads(arguments), dict), "providers fail on arguments that are no JSON"
    assert told in seen.log()[1].children[1].error
    assert seen.text.startswith("※ 도구 사용이 한도(1회)에 이르러")


def test_what_cannot_be_read_of_plan_and_review_is_gone_without_visibly(plugin: PluginProcess) -> None:
    unreadable = run(plugin, Dify([Says("네, 알겠습니다."), Says(""), Says("답")])).log()
    assert unreadable[0].data["steps"] == ["연차는 며칠까지 이월되나요?"]
    assert unreadable[0].data["note"] == "모델의 계획을 읽을 수 없어 질문 전체를 한 단계로 삼았습니다."
    seen = run(plugin, Dify([steps("하나", "둘"), Says("적음"), Says(""), Says(""), Says("답")]))
    assert seen.log()[-2].data["note"] == "모델의 검토를 읽을 수 없어 찾은 내용으로 답합니다."
    assert seen.text == "답"


@pytest.mark.parametrize("nothing", ["", "  \n", "<think>음…</think>", "<think>끝나지 않는 생각"])
def test_an_empty_answer_is_an_error(plugin: PluginProcess, nothing: str) -> None:
    error, seen = fails(plugin, Dify([steps("하나"), Says("적음"), Says(nothing)]))
    assert error.message.startswith("모델 student에서 빈 답이 왔습니다. 다시 시도하거나")
    assert seen.text == ""
    assert labels(seen.log())[-1] == ("답변 작성", ["모델: student"])
    assert seen.log()[-1].status == "error"


BROKEN_TOOL = {**tool("retrieve"), "parameters": [{"name": "query", "type": "telepathy"}]}


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        ({"query": " "}, "The query is empty."),
        ({"query": None, "instruction": "짧게 답하세요."}, "질문이 비어 있습니다."),
        ({"tools": []}, "쓸 수 있는 도구가 없습니다."),
        ({"tools": 5}, "에이전트 안에서 예상하지 못한 문제(TypeError)로 멈췄습니다."),
        ({"query": "가" * 100_001}, "query 값이 100,001자로 너무 깁니다. 100,000자까지"),
        ({"instruction": "가" * 1_700_000}, "instruction 값이 1,700,000자로 너무 깁니다."),
        ({"model": {**model(), "completion_params": {"max_tokens": "abc"}}}, "모델 설정을 읽지 못했습니다(max_tokens:"),
        ({"tools": None}, "쓸 수 있는 도구가 없습니다."),
        ({"tools": [BROKEN_TOOL]}, "도구 'retrieve'의 설정을 읽지 못했습니다(parameters.0."),
        ({"maximum_iterations": 0}, "최대 반복 횟수로 0 값은 쓸 수 없습니다. 1에서 30까지의 정수"),
        ({"maximum_iterations": 31}, "최대 반복 횟수로 31 값은"),
        ({"maximum_iterations": 2.5}, "최대 반복 횟수로 2.5 값은"),
        ({"maximum_iterations": "many"}, "최대 반복 횟수로 'many' 값은"),
        ({"model": {"provider": "x"}}, "모델 설정을 읽지 못했습니다("),
        ({"model": {**model(), "history_prompt_messages": "none"}}, "모델 설정을 읽지 못했습니다("),
    ],
)
def test_parameters_that_cannot_be_used_are_named(plugin: PluginProcess, parameters: Any, told: str) -> None:
    error, seen = fails(plugin, Dify([]), **parameters)
    assert error.kind == "InvokeBadRequestError"
    assert error.message.startswith(told)
    assert seen.messages == []


def test_the_log_of_the_unexpected_quotes_nobody(plugin: PluginProcess) -> None:
    fails(plugin, Dify([]), tools=[{**tool("retrieve"), "parameters": 5}], query="비밀")
    fails(plugin, Dify([]), tools=5, query="비밀")
    lines = logged(plugin, "a run ended unexpectedly: TypeError")
    assert not any("is not iterable" in line for line in lines)
