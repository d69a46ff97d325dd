"""The supervisor's run from the plan to the answer, with Dify's side played by script."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from environments import StartPlugin
from scripted_dify import (
    PROVIDER,
    Dify,
    Says,
    chunk,
    found,
    labels,
    model,
    passage,
    run,
    steps,
    text,
    tool,
    variable,
)

from dify_plugins.tooling.daemon import Message, PluginProcess

LEAVE = passage("c1", "사용하지 않은 연차는 10일까지 다음 해로 이월할 수 있다.")
REMOTE = passage("c2", "재택근무는 주 2일까지 신청할 수 있다.", "재택근무규정.md", None)


@pytest.fixture
def plugin(start_plugin: StartPlugin, python: str) -> PluginProcess:
    return start_plugin("llmflow_supervisor", python)


def retrieve(parameters: Any) -> list[Message]:
    return found(REMOTE if "재택" in parameters["query"] else LEAVE)


def one_step(answer: str = "10일까지 이월됩니다[1].", **more: Any) -> list[Says]:
    """A plan of one step, one search, a note, an answer."""
    search = Says(calls=[("retrieve", {"query": "연차 이월"})])
    return [steps("연차 이월 한도 확인"), search, Says("10일까지다 [1]"), Says(answer, **more)]


@pytest.mark.parametrize(("python", "transport"), [("py311", "stdio"), ("py312", "stdio"), ("py312", "tcp")])
def test_a_simple_question_from_plan_to_cited_answer(start_plugin: StartPlugin, python: str, transport: str) -> None:
    dify = Dify(one_step(), {"retrieve": retrieve})
    seen = run(start_plugin("llmflow_supervisor", python, transport), dify)

    assert seen.text == "10일까지 이월됩니다[1].\n\n**출처**\n- [1] 취업규칙.pdf, 3쪽"
    (resource,) = seen.resources
    assert (resource["position"], resource["segment_id"], resource["page"]) == (1, "c1", 3)
    assert resource["content"] == LEAVE["content"]

    log = seen.log()
    assert labels(log) == [
        ("계획", ["모델: student"]),
        ("라운드 1", ["모델: student", "도구: retrieve"]),
        ("라운드 2", ["모델: student"]),
        ("답변 작성", ["모델: student"]),
    ]
    assert all(line.status == "success" for line in [*log, *(child for line in log for child in line.children)])
    plan, search, _, answer = log
    assert plan.data["tool_calling"] == "모델의 함수 호출 기능"
    assert search.children[1].data["arguments"] == {"query": "연차 이월"}
    assert search.children[1].data["passages"] == [1]
    assert LEAVE["content"] in search.children[1].data["result"]
    assert search.children[1].metadata["provider"] == "llmflow/llmflow/llmflow"
    assert search.children[0].metadata["provider"] == PROVIDER
    assert search.metadata["total_tokens"] == search.children[0].metadata["total_tokens"] == 110
    assert answer.data["cited"] == [1]

    totals = seen.totals
    usage = totals["execution_metadata"]
    assert (usage["total_tokens"], usage["prompt_tokens"], usage["completion_tokens"]) == (440, 400, 40)
    assert usage["total_price"] == pytest.approx(0.00048)
    assert usage["currency"] == "USD"
    assert totals["plan"] == ["연차 이월 한도 확인"]
    assert [(each["number"], each["chunk_id"]) for each in totals["citations"]] == [(1, "c1")]
    assert totals["notices"] == []


def test_several_steps_are_reviewed_and_planned_again_once(plugin: PluginProcess) -> None:
    more = {"enough": False, "steps": ["Find the rule for part-timers"]}
    script = [
        steps("Find the leave rule", "Find the remote work rule"),
        Says(calls=[("retrieve", {"query": "leave"})]),
        Says("Ten days [1]."),
        Says(calls=[("retrieve", {"query": "재택"})]),
        Says("Two days a week [2]."),
        Says(json.dumps(more)),
        Says(calls=[("retrieve", {"query": "leave part-time"})]),
        Says("The same for them [1]."),
        Says("Ten days [1] and two days a week [2]."),
    ]
    dify = Dify(script, {"retrieve": retrieve})
    seen = run(plugin, dify, query="How much leave and remote work do we get?")

    search = ["Model: student", "Tool: retrieve"]
    assert labels(seen.log()) == [
        ("Plan", ["Model: student"]),
        ("Round 1", search),
        ("Round 2", ["Model: student"]),
        ("Round 3", search),
        ("Round 4", ["Model: student"]),
        ("Review", ["Model: student"]),
        ("Round 5", search),
        ("Round 6", ["Model: student"]),
        ("Answer", ["Model: student"]),
    ]
    assert seen.log()[5].data == {"enough": False, "steps": more["steps"]}
    assert seen.text.startswith("Ten days [1] and two days a week [2].\n\n**Sources**\n- [1] 취업규칙.pdf, p. 3\n- [2]")
    assert [each["position"] for each in seen.resources] == [1, 2], "found twice, cited once"
    assert seen.totals["plan"] == ["Find the leave rule", "Find the remote work rule", *more["steps"]]
    assert "Next step: Find the remote work rule" in dify.asked[3]["prompt_messages"][-1]["content"]


def test_enough_goes_on_to_the_answer(plugin: PluginProcess) -> None:
    script = [steps("하나", "둘"), Says("아는 것 1"), Says("아는 것 2"), Says('{"enough": true}'), Says("답")]
    seen = run(plugin, Dify(script))
    assert [line.label for line in seen.log()] == ["계획", "라운드 1", "라운드 2", "검토", "답변 작성"]
    assert seen.text == "답"
    assert seen.resources == []


def test_the_answer_is_shown_while_the_model_still_writes(plugin: PluginProcess) -> None:
    shown = threading.Event()

    def writes(_: Message) -> Iterator[Message]:
        yield chunk({"content": [{"type": "text", "data": "10일까지 "}]})
        assert shown.wait(10), "the first words did not come while the model was writing"
        yield chunk({"content": "이월됩니다."})

    dify = Dify([*one_step()[:3]], {"retrieve": retrieve}, last=writes)
    texts: list[str] = []

    def see(message: Message) -> None:
        if message["type"] == "text":
            texts.append(message["message"]["text"])
            shown.set()

    seen = run(plugin, dify, on_message=see)
    assert texts == ["10일까지 ", "이월됩니다."]
    assert seen.messages[-1]["type"] == "json"


def test_earlier_conversation_instruction_and_model_settings_reach_the_model(plugin: PluginProcess) -> None:
    history = [
        {"role": "user", "content": "연차가 며칠인가요?", "name": None},
        {"role": "assistant", "content": "15일입니다.", "name": None, "tool_calls": []},
    ]
    dify = Dify(one_step(), {"retrieve": retrieve})
    run(plugin, dify, model=model(history=history), instruction="존댓말로 짧게 답하세요.")
    for request in dify.asked:
        system, first, second, *rest = request["prompt_messages"]
        assert system["role"] == "system"
        assert "존댓말로 짧게 답하세요." in system["content"]
        assert (first["content"], second["content"]) == ("연차가 며칠인가요?", "15일입니다.")
        assert rest
        assert (request["model"], request["completion_params"]) == ("student", {"temperature": 0.1})
        assert "entity" not in request
    plan, search, _, write = dify.asked
    assert plan["tools"] is None
    assert [each["name"] for each in search["tools"]] == ["retrieve"]
    assert search["tools"][0]["parameters"]["required"] == ["query"]
    assert write["tools"] is None
    assert "[1] 취업규칙.pdf, 3쪽" in write["prompt_messages"][-1]["content"]


def test_what_the_app_sets_no_model_can_change(plugin: PluginProcess) -> None:
    script = one_step()
    script[1] = Says(calls=[("retrieve", {"query": "연차", "departments": "임원", "colour": "red"})])
    dify = Dify(script, {"retrieve": retrieve})
    parameters = {"query": {}, "departments": {"form": "form", "required": False}}
    given = tool("retrieve", parameters, departments="인사", top_k=3)
    seen = run(plugin, dify, tools=[given])
    (called,) = dify.called
    assert called["tool_parameters"] == {"query": "연차", "departments": "인사", "top_k": 3}
    assert (called["provider"], called["tool_type"]) == ("llmflow/llmflow/llmflow", "builtin")
    assert "쓰지 않은 인자: departments, colour" in seen.log()[1].children[1].data["result"]
    assert "departments" not in dify.asked[1]["tools"][0]["parameters"]["properties"]


def test_parameters_are_described_by_their_kind(plugin: PluginProcess) -> None:
    parameters = {
        "query": {},
        "top_k": {"type": "number", "required": False},
        "strict": {"type": "boolean", "required": False},
        "rerank": {"type": "select", "options": [{"value": "llm", "label": {"en_US": "LLM"}}], "required": False},
        "passages": {"type": "any"},
        "filter": {"type": "object", "input_schema": {"type": "object", "properties": {"year": {"type": "integer"}}}},
        "file": {"type": "file"},
    }
    dify = Dify(one_step(), {"retrieve": retrieve})
    run(plugin, dify, tools=[tool("retrieve", parameters), tool("retrieve", provider="other/other/other")])
    first, second = dify.asked[1]["tools"]
    properties = first["parameters"]["properties"]
    assert {name: schema.get("type") for name, schema in properties.items()} == {
        "query": "string",
        "top_k": "number",
        "strict": "boolean",
        "rerank": "string",
        "passages": None,
        "filter": "object",
    }
    assert properties["rerank"]["enum"] == ["llm"]
    assert first["parameters"]["required"] == ["query", "passages", "filter"]
    assert second["name"] == "retrieve_2", "tools of the same name stay apart"


def test_a_model_without_tool_calls_calls_by_json_in_its_text(plugin: PluginProcess) -> None:
    script = [
        Says('<think>계획을 {"steps": ["틀린 것"]} 세우자</think>```json\n{"steps": ["연차 확인"]}\n```'),
        Says('찾아보겠습니다. {"tool": "retrieve", "arguments": {"query": "연차"}}'),
        Says('{"tool": "retrieve", "arguments": {"query": "연차"}'),
        Says("10일까지다 [1]"),
        Says("<think>생각 [7]</think>\n\n10일까지 이월됩니다【1†source】[2]."),
    ]
    dify = Dify(script, {"retrieve": retrieve})
    seen = run(plugin, dify, model=model(features=["agent-thought"]))
    assert all(request["tools"] is None for request in dify.asked)
    assert '"required": ["query"]' in dify.asked[1]["prompt_messages"][0]["content"]
    assert LEAVE["content"] in dify.asked[2]["prompt_messages"][-1]["content"]
    assert "JSON 객체가 아닙니다" in dify.asked[3]["prompt_messages"][-1]["content"]
    log = seen.log()
    assert log[0].data == {
        "steps": ["연차 확인"],
        "tool_calling": "글 속의 JSON (이 모델에는 함수 호출 기능이 없습니다)",
    }
    assert [line.status for line in log[2].children] == ["success", "error"]
    assert seen.text.startswith("10일까지 이월됩니다[1].\n")
    assert log[-1].data["citations_without_passage"] == [2]


def test_a_model_that_does_not_stream_its_calls_is_asked_in_one_piece(plugin: PluginProcess) -> None:
    dify = Dify(one_step(), {"retrieve": retrieve})
    seen = run(plugin, dify, model=model(features=["multi-tool-call"]))
    assert [request["stream"] for request in dify.asked] == [True, False, False, True]
    assert len(dify.called) == 1
    assert seen.totals["execution_metadata"]["total_tokens"] == 440


def test_an_unknown_model_is_taken_to_have_no_tool_calls(plugin: PluginProcess) -> None:
    dify = Dify([steps("확인"), Says("아는 것"), Says("답")])
    run(plugin, dify, model={**model(), "entity": None})
    assert dify.asked[1]["tools"] is None


def test_a_call_that_comes_in_pieces_is_put_together(plugin: PluginProcess) -> None:
    def piece(identity: str, name: str, arguments: str) -> Message:
        function = {"name": name, "arguments": arguments}
        return chunk({"content": "", "tool_calls": [{"id": identity, "type": "function", "function": function}]})

    def calls(_: Message) -> Iterator[Message]:
        yield piece("a", "retrieve", "")
        yield piece("", "", '{"query": ')
        yield piece("a", "", '"연차"}')
        yield piece("b", "retrieve", '{"query": "재택"}')

    script = [steps("둘 다"), calls, Says("찾았다"), Says("연차[1], 재택[2].")]
    dify = Dify(script, {"retrieve": retrieve})
    seen = run(plugin, dify)
    assert [each["tool_parameters"]["query"] for each in dify.called] == ["연차", "재택"]
    assert [each["position"] for each in seen.resources] == [1, 2]
    told = dify.asked[2]["prompt_messages"]
    assert [(each["role"], each.get("tool_call_id")) for each in told[-3:]] == [
        ("assistant", None),
        ("tool", "a"),
        ("tool", "b"),
    ]


def test_calls_of_one_id_stay_apart(plugin: PluginProcess) -> None:
    """Some models give the tool's name as the id of each of its calls."""
    calls = [
        {"id": "retrieve", "type": "function", "function": {"name": "retrieve", "arguments": given}}
        for given in ('{"query": "연차"}', '{"query": "재택"}')
    ]
    dify = Dify(
        [steps("둘 다"), lambda _: iter([chunk({"content": "", "tool_calls": calls})]), Says("찾음"), Says("답")],
        {"retrieve": retrieve},
    )
    run(plugin, dify)
    assert [each["tool_parameters"]["query"] for each in dify.called] == ["연차", "재택"]
    told = [each["tool_call_id"] for each in dify.asked[2]["prompt_messages"] if each["role"] == "tool"]
    assert told == ["retrieve", "retrieve_2"]


def test_what_a_tool_says_around_its_quotes_is_kept(plugin: PluginProcess) -> None:
    quote = {"position": 7, "document_name": "규정.pdf", "segment_id": "c1", "content": "연차는 5일까지 이월됩니다."}
    said = "네, 가능합니다. 연차는 5일까지 이월됩니다.[7] 남은 3일은 모두 다음 해에 쓸 수 있습니다."
    body = {"type": "retriever_resources", "message": {"retriever_resources": [quote], "context": ""}}
    context = "[7] 규정.pdf · 3쪽\n연차는 5일까지 이월됩니다."
    search = [Says(calls=[("answer", {"query": "연차"})]), Says("적음"), Says("답")]
    dify = Dify([steps("확인"), *search], {"answer": lambda _: [text(f"{said}\n\n{context}"), body]})
    run(plugin, dify, tools=[tool("answer")])
    told = dify.asked[2]["prompt_messages"][-1]["content"]
    assert told == f"{said.replace('[7]', '[1]')}\n\n[1] 규정.pdf\n연차는 5일까지 이월됩니다."


def test_citations_of_an_answering_tool_get_the_runs_numbers(plugin: PluginProcess) -> None:
    def answer(_: Any) -> list[Message]:
        resources = [
            {"position": 1, "document_id": "doc-B", "document_name": "B.md", "segment_id": "c9", "content": "나"},
            {"position": 2, "document_id": "doc-A", "document_name": "A.md", "segment_id": "c1", "content": "가"},
        ]
        body = {"retriever_resources": resources, "context": ""}
        stream = {"variable_name": "answer", "variable_value": "재택은", "stream": True}
        return [
            text("재택은 이틀[1], 연차는 "),
            text("열흘[2]."),
            {"type": "variable", "message": stream},
            {"type": "retriever_resources", "message": body},
        ]

    script = [
        steps("찾기"),
        Says(calls=[("retrieve", {"query": "연차"}), ("answer", {"question": "재택?"})]),
        Says("찾았다"),
        Says("이틀[2], 열흘[1]."),
    ]
    dify = Dify(script, {"retrieve": retrieve, "answer": answer})
    seen = run(plugin, dify, tools=[tool("retrieve"), tool("answer", {"question": {}})])
    assert "재택은 이틀[2], 연차는 열흘[1]." in dify.asked[2]["prompt_messages"][-1]["content"]
    assert [(each["position"], each["segment_id"]) for each in seen.resources] == [(1, "c1"), (2, "c9")]


@pytest.mark.parametrize("piece", [1, 3, 1000])
def test_no_passage_no_citation_however_the_text_is_cut(plugin: PluginProcess, piece: int) -> None:
    answer = "<think>[1]은 어디?</think> 10일[1]입니다 [1, 4]. 2024년[2024] 표[0] <b>와 a[1 끝 [1][8]"
    seen = run(plugin, Dify(one_step(answer, piece=piece), {"retrieve": retrieve}))
    assert seen.text.partition("\n\n**출처**")[0] == "10일[1]입니다 [1]. 2024년[2024] 표[0] <b>와 a[1 끝 [1]"
    assert seen.log()[-1].data["citations_without_passage"] == [4, 8]


@pytest.mark.parametrize("piece", [1, 4, 1000])
def test_ranges_are_citations_and_code_has_none(plugin: PluginProcess, piece: int) -> None:
    answer = "열흘[1-3], 값은 `list[5]`이고 `[1]`은 그대로, 끝[4–9]."
    seen = run(plugin, Dify(one_step(answer, piece=piece), {"retrieve": retrieve}))
    assert seen.text.partition("\n\n**출처**")[0] == "열흘[1], 값은 `list[5]`이고 `[1]`은 그대로, 끝."
    assert seen.log()[-1].data["citations_without_passage"] == [2, 3, 4, 5, 6, 7, 8, 9]


def test_thoughts_that_the_models_template_begins_are_not_shown(plugin: PluginProcess) -> None:
    plan, search, note, _ = one_step()
    thought = "먼저 규정을 보자.</think>"
    script = [Says(thought + plan.text), search, Says(thought + note.text), Says(f"{thought}열흘입니다[1].")]
    seen = run(plugin, Dify(script, {"retrieve": retrieve}))
    assert seen.text.startswith("열흘입니다[1].\n")


def test_an_answer_lost_in_thoughts_says_so(plugin: PluginProcess) -> None:
    seen = run(plugin, Dify([steps("하나"), Says("적음"), Says("연차는 <think>음… 며칠이더라")]))
    assert seen.text == "연차는 \n\n※ 모델이 생각을 끝맺지 않아 답이 여기서 끊겼습니다."
    assert seen.totals["notices"] == ["※ 모델이 생각을 끝맺지 않아 답이 여기서 끊겼습니다."]


def test_the_answer_is_asked_for_in_the_language_of_the_question(plugin: PluginProcess) -> None:
    dify = Dify([steps("look"), Says("noted"), Says("Annual leave.")])
    run(plugin, dify, query="What does 연차 mean?")
    written = dify.asked[-1]["prompt_messages"][0]["content"]
    assert "질문의 언어로" in written
    assert "한국어로" not in written


def test_other_tools_are_told_as_text_and_their_files_handed_on(plugin: PluginProcess) -> None:
    picture = {"type": "image_link", "message": {"text": "/files/tools/chart.png"}, "meta": {"tool_file_id": "f1"}}
    log = {"id": "x", "label": "inside", "status": "start", "data": {}, "metadata": {}}
    tools = {
        "weather": lambda _: [text("맑음, 24도"), {"type": "json", "message": {"json_object": {"celsius": 24}}}],
        "same": lambda _: [text('{"a": 1}'), {"type": "json", "message": {"json_object": {"a": 1}}}],
        "variables": lambda _: [variable("price", 1200), {"type": "log", "message": log}],
        "chart": lambda _: [picture],
        "link": lambda _: [{"type": "link", "message": {"text": "https://example.com"}}],
        "file": lambda _: [{**picture, "type": "link"}],
    }
    calls = [(name, {}) for name in tools]
    dify = Dify([steps("모두"), Says(calls=calls), Says("됐다"), Says("맑습니다.")], tools)
    seen = run(plugin, dify, tools=[tool(name, {}, "time/time") for name in tools])
    told = [each["content"] for each in dify.asked[2]["prompt_messages"] if each["role"] == "tool"]
    expected = ['맑음, 24도\n{"celsius": 24}', '{"a": 1}', '{"price": 1200}', "(결과 없음)", "https://example.com"]
    expected.append("/files/tools/chart.png")
    assert told == expected
    assert "맑음, 24도" in dify.asked[3]["prompt_messages"][-1]["content"]
    handed_on = [each for each in seen.messages if each["type"] in {"image_link", "link"}]
    assert [each["type"] for each in handed_on] == ["image_link", "link"]
    for each in handed_on:
        assert each["meta"] == {"tool_file_id": "f1"}
        assert each["message"] == picture["message"]
    assert len(seen.log()) == 4, "a tool's own log stays with the tool"


def test_what_a_tool_did_without_is_in_the_log_and_the_result(plugin: PluginProcess) -> None:
    degraded = ["rerank: the LLM is away"]
    dify = Dify(one_step(), {"retrieve": lambda _: [*found(LEAVE), variable("degradations", degraded)]})
    seen = run(plugin, dify)
    assert seen.log()[1].children[1].data["degradations"] == degraded
    assert seen.totals["degradations"] == degraded


@pytest.mark.parametrize("odd", [5, "slow", {"a": 1}])
def test_degradations_that_are_no_list_are_none(plugin: PluginProcess, odd: Any) -> None:
    dify = Dify(one_step(), {"retrieve": lambda _: [*found(LEAVE), variable("degradations", odd)]})
    assert run(plugin, dify).totals["degradations"] == []


def test_of_a_chunk_found_twice_the_longest_part_is_shown(plugin: PluginProcess) -> None:
    quote = {**LEAVE, "content": "10일까지"}
    parts = iter([found(quote), found(LEAVE)])
    search = Says(calls=[("retrieve", {"query": "연차"})])
    dify = Dify([steps("확인"), search, search, Says("적음"), Says("열흘[1].")], {"retrieve": lambda _: next(parts)})
    (resource,) = run(plugin, dify).resources
    assert resource["content"] == LEAVE["content"]
