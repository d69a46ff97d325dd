"""The supervisor over the real tools of the plugin llmflow and a real server; only the model is played by script."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from environments import StartPlugin
from faulty_server import FaultyServer, events
from llmflow_server import LLMFlowServer
from scripted_dify import Dify, Says, run, steps, tool

from dify_plugins.tooling.daemon import Message, PluginProcess

PARAMETERS: dict[str, dict[str, dict[str, Any]]] = {
    "retrieve": {"query": {}, "top_k": {"form": "form", "type": "number"}},
    "answer": {"question": {}},
    "search_graph": {"entity": {}},
}


@pytest.fixture
def tools(start_plugin: StartPlugin, server: LLMFlowServer) -> dict[str, Any]:
    """The plugin llmflow as Dify calls it: with the administrator's credentials."""
    llmflow = start_plugin("llmflow")
    credentials = server.credentials("reader")

    def call(name: str) -> Any:
        def invoke(parameters: Any) -> Iterator[Message]:
            return llmflow.invoke_tool("llmflow", name, credentials, dict(parameters))

        return invoke

    return {name: call(name) for name in PARAMETERS}


@pytest.fixture
def plugin(start_plugin: StartPlugin, python: str) -> PluginProcess:
    return start_plugin("llmflow_supervisor", python)


def given(**runtime: Any) -> list[Message]:
    """The tools as the agent node has them."""
    retrieve = tool("retrieve", PARAMETERS["retrieve"], **runtime)
    return [retrieve, *(tool(name, PARAMETERS[name]) for name in ("answer", "search_graph"))]


def test_a_report_over_two_departments_cites_what_the_server_holds(
    plugin: PluginProcess, tools: dict[str, Any], server: LLMFlowServer
) -> None:
    script = [
        steps("연차 이월 규정 확인", "재택근무 규정 확인"),
        Says(calls=[("retrieve", {"query": "연차는 며칠까지 이월되나요?"})]),
        Says("찾았습니다 [1]"),
        Says(calls=[("retrieve", {"query": "재택근무는 일주일에 며칠 할 수 있나요?"})]),
        Says("찾았습니다 [2]"),
        Says('{"enough": true}'),
        Says("연차 규정은 [1], 재택근무 규정은 [3]에 있습니다. 지어낸 출처 [99]."),
    ]
    dify = Dify(script, tools)
    query = "연차 이월과 재택근무 규정을 정리해 주세요."
    seen = run(plugin, dify, tools=given(top_k=2), query=query)

    assert "[99]" not in seen.text
    assert [each["position"] for each in seen.resources] == [1, 3]
    headers = {"Authorization": f"Bearer {server.key('reader')}"}
    for resource in seen.resources:
        document = httpx.get(f"{server.url}/v1/documents/{resource['document_id']}", headers=headers)
        assert document.status_code == 200
        assert document.json()["document"]["name"] == resource["document_name"]
        chunks = httpx.get(f"{server.url}/v1/documents/{resource['document_id']}/chunks", headers=headers).json()
        assert resource["segment_id"] in str(chunks)
    written_from = dify.asked[-1]["prompt_messages"][-1]["content"]
    assert all(resource["content"][:50] in written_from for resource in seen.resources)
    search = seen.log()[1].children[1]
    assert search.data["passages"] == [1, 2], "top_k is the app's"
    assert search.metadata["elapsed_time"] > 0


def test_the_answer_tool_and_the_graph_are_told_to_the_model(plugin: PluginProcess, tools: dict[str, Any]) -> None:
    calls = [("answer", {"question": "연차는 며칠까지 이월되나요?"}), ("search_graph", {"entity": "없는 사람"})]
    dify = Dify([steps("확인"), Says(calls=calls), Says("적음"), Says("규정에 있습니다[1].")], tools)
    seen = run(plugin, dify, tools=given())
    answer, graph = dify.asked[2]["prompt_messages"][-2:]
    assert "[1] " in answer["content"]
    assert graph["content"].startswith("도구 search_graph 호출에 실패했습니다: 지식 그래프에 그런 이름이 없습니다.")
    assert "없는 사람" in graph["content"]
    assert [line.status for line in seen.log()[1].children] == ["success", "success", "error"]
    assert seen.resources[0]["position"] == 1


def test_what_the_answer_tool_cites_stays_cited(plugin: PluginProcess, start_plugin: StartPlugin) -> None:
    """An answer's numbers are those of the passages it was made from: some are skipped, some come twice."""

    def cited(number: int, name: str, quote: str) -> dict[str, Any]:
        place = {"chunk_id": f"chunk of {name}", "document_id": f"id of {name}", "document_name": name, "page": None}
        return {**place, "number": number, "quote": quote, "span": [0, 9]}

    citations = [
        cited(4, "재택근무규정.md", "국외에서는 할 수 없다."),
        cited(2, "복리후생.csv", "주 2일까지 지원한다."),
        cited(4, "재택근무규정.md", "전날까지 신청한다."),
    ]
    text = "국외 근무는 안 됩니다[4]. 지원은 주 2일입니다[2]. 신청은 전날까지입니다[4]."
    fields = {"mode": "generative", "unsupported": [], "degradations": [], "timings_ms": {}, "cached": False}
    finished = ("finished", {"text": text, "citations": citations, **fields})
    script = [
        steps("확인"),
        Says(calls=[("answer", {"question": "재택근무는?"})]),
        Says("찾았다"),
        Says("전날까지 신청합니다[1]. 주 2일입니다[2]. 국외는 안 됩니다[4]."),
    ]
    with FaultyServer(lambda _: events(finished)).running() as llmflow:
        credentials = {"base_url": llmflow.url, "api_key": "llmflow_key"}

        def answer(parameters: Any) -> Iterator[Message]:
            return start_plugin("llmflow").invoke_tool("llmflow", "answer", credentials, dict(parameters))

        dify = Dify(script, {"answer": answer})
        seen = run(plugin, dify, tools=[tool("answer", PARAMETERS["answer"])])
    told = dify.asked[2]["prompt_messages"][-1]["content"]
    assert "국외 근무는 안 됩니다[1]. 지원은 주 2일입니다[2]. 신청은 전날까지입니다[1]." in told
    assert "[1] 재택근무규정.md\n국외에서는 할 수 없다.\n전날까지 신청한다." in told
    assert "[2] 복리후생.csv\n주 2일까지 지원한다." in told
    assert [(each["position"], each["document_name"]) for each in seen.resources] == [
        (1, "재택근무규정.md"),
        (2, "복리후생.csv"),
    ]
    assert "국외는 안 됩니다." in seen.text, "there is no fourth passage here"


def test_a_server_that_is_away_is_said_in_the_answer(
    plugin: PluginProcess, start_plugin: StartPlugin, server: LLMFlowServer
) -> None:
    credentials = {**server.credentials("reader"), "base_url": "http://127.0.0.1:9"}
    llmflow = start_plugin("llmflow")

    def away(parameters: Any) -> Iterator[Message]:
        return llmflow.invoke_tool("llmflow", "retrieve", credentials, dict(parameters))

    script = [steps("확인"), Says(calls=[("retrieve", {"query": "연차"})]), Says("없음"), Says("알 수 없습니다.")]
    seen = run(plugin, Dify(script, {"retrieve": away}))
    assert seen.text.startswith("※ 쓰지 못한 도구가 있습니다: retrieve (LLMFlow 서버(http://127.0.0.1:9)에 연결할 수")
    assert "Traceback" not in seen.text
