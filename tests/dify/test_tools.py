"""The tools that search, rank, mask and look up, against a real server."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from environments import PLUGINS, StartPlugin
from llmflow_server import LLMFlowServer
from tool_calls import PROVIDER, Tools
from worded_errors import without_python

from dify_plugins.tooling.daemon import Message, PluginError, Transport

QUESTION = "국외에서도 재택근무를 할 수 있나요?"
SENTENCE = "국외에서는 재택근무를 할 수 없다."
TRAVEL = "출장비 정산은 7일 안에 한다."
LEAVE = "쓰지 않은 연차휴가는 5일까지 이월한다."


@pytest.fixture
def tools(start_plugin: StartPlugin, server: LLMFlowServer, python: str) -> Tools:
    """The plugin in each environment."""
    return Tools(start_plugin("llmflow", python), server.credentials())


@pytest.fixture
def new_tools(start_plugin: StartPlugin, server: LLMFlowServer) -> Tools:
    """The plugin in the newer environment, for what does not depend on it."""
    return Tools(start_plugin("llmflow", "py312"), server.credentials())


def test_retrieve(start_plugin: StartPlugin, server: LLMFlowServer, python: str, transport: Transport) -> None:
    tools = Tools(start_plugin("llmflow", python, transport), server.credentials())
    found = tools.run("retrieve", query=QUESTION, top_k=3)
    result = found.variables["result"]
    assert len(result) == found.variables["count"] == 3
    assert [passage["score"] for passage in result] == sorted((p["score"] for p in result), reverse=True)
    first = result[0]
    assert SENTENCE in first["content"]
    assert first["title"] == "재택근무규정.md"
    assert 0 < first["score"] <= 1
    assert {"document_id", "chunk_id", "department", "section"} <= set(first["metadata"])
    assert None not in first["metadata"].values()
    assert found.variables["context"] == found.text == found.context
    assert found.text.startswith("[1] 재택근무규정.md · ")
    assert "\n\n[3] " in found.text
    assert found.json == {key: found.variables[key] for key in ("result", "count", "degradations", "trace_id")}
    assert found.variables["degradations"] == []
    assert [(each["position"], each["document_name"]) for each in found.resources] == [
        (number, passage["title"]) for number, passage in enumerate(result, 1)
    ]
    assert found.resources[0]["content"] == first["content"]
    assert found.resources[0]["segment_id"] == first["metadata"]["chunk_id"]


def test_steps_of_the_log_are_nested_and_timed(tools: Tools) -> None:
    logs = tools.run("retrieve", query=QUESTION).logs
    outer, inner = logs[0], logs[1]
    assert [log["status"] for log in logs] == ["start", "start", "success", "success"]
    assert [log["id"] for log in logs] == [outer["id"], inner["id"], inner["id"], outer["id"]]
    assert (outer["parent_id"], inner["parent_id"]) == (None, outer["id"])
    assert outer["label"] == "문서 검색"
    for log in logs[2:]:
        times = log["metadata"]
        assert times["elapsed_time"] == pytest.approx(times["finished_at"] - times["started_at"])
    failed: list[Message] = []
    with pytest.raises(PluginError) as caught:
        failed.extend(each["message"] for each in tools.messages("retrieve", query=QUESTION, departments="없는 부서"))
    assert [log["status"] for log in failed] == ["start", "start", "error", "error"]
    assert {log["error"] for log in failed[2:]} == {caught.value.message}


@pytest.mark.parametrize("two", [2, 2.0, "2", "2.0", " 2 "])
def test_numbers_come_in_every_form(tools: Tools, two: Any) -> None:
    assert tools.run("retrieve", query=QUESTION, top_k=two, score_threshold="").variables["count"] == 2


def test_a_threshold_of_zero_is_a_value(tools: Tools) -> None:
    def count(threshold: Any) -> int:
        found: int = tools.run("retrieve", query=QUESTION, top_k=100, score_threshold=threshold).variables["count"]
        return found

    default = count(None)
    assert count("") == count("  ") == default
    assert count(0) == count(0.0) == count("0") > default > count("0.3") > 0
    nothing = tools.run("retrieve", query=QUESTION, score_threshold=1)
    assert (nothing.variables["result"], nothing.variables["count"]) == ([], 0)
    assert "찾지 못했습니다" in nothing.text
    assert nothing.resources == []


def test_departments_narrow(tools: Tools) -> None:
    found = tools.run("retrieve", query="비밀번호 재택근무 출장비", top_k=20, departments=" 보안 , ")
    assert {passage["metadata"]["department"] for passage in found.variables["result"]} == {"보안"}
    both = tools.run("retrieve", query="비밀번호 재택근무 출장비", top_k=20, departments="인사,보안")
    assert {passage["metadata"]["department"] for passage in both.variables["result"]} == {"인사", "보안"}
    told = tools.failure("retrieve", query="연차", departments="인사, 재무")
    assert "부서 이름을 확인" in told
    assert "'재무'" in told


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ('{"name": "재택근무규정.md"}', {"재택근무규정.md"}),
        ('{"name": ["재택근무규정.md", "복리후생.csv"]}', {"재택근무규정.md", "복리후생.csv"}),
        (
            '{"logical_operator": "or", "conditions": [{"name": "name", "comparison_operator": "contains",'
            ' "value": "재택"}, {"name": "department", "comparison_operator": "is", "value": "보안"}]}',
            {"재택근무규정.md", "it_security_faq.md", "공지_출장비_2024.txt"},
        ),
        ({"department": "보안"}, {"it_security_faq.md", "공지_출장비_2024.txt"}),
        ('{"conditions": [{"name": "project", "comparison_operator": "not empty"}]}', set()),
    ],
)
def test_filters(new_tools: Tools, given: Any, names: set[str]) -> None:
    words = "신청 승인 비밀번호 출장비 재택근무 복리후생 remote work password"
    found = new_tools.run("retrieve", query=words, top_k=100, score_threshold=0, metadata_filter=given)
    assert {passage["title"] for passage in found.variables["result"]} == names


@pytest.mark.parametrize(
    ("parameters", "korean", "english"),
    [
        ({"query": " "}, "질문(query) 값이 비어", "The question (query) is empty"),
        ({"query": None}, "비어", "empty"),
        ({"query": {"a": 1}}, "텍스트가 아닙니다", "is not a text"),
        ({"query": "가" * 8001}, "8,001자", "8,001 characters"),
        ({"top_k": 0}, "문단 수(top_k) 값이 '0'입니다. 1에서 1,000", "(top_k) is '0'. Enter a whole number"),
        ({"top_k": "다섯"}, "'다섯'", "'다섯'"),
        ({"top_k": 2.5}, "정수", "whole number"),
        ({"top_k": True}, "정수", "whole number"),
        ({"top_k": "nan"}, "정수", "whole number"),
        ({"score_threshold": 1.5}, "0에서 1 사이", "from 0 to 1"),
        ({"score_threshold": -1}, "'-1'", "'-1'"),
        ({"rerank": "best"}, "default, llm, cross_encoder, none", "default, llm, cross_encoder, none"),
        ({"rerank": "llm"}, "재정렬 방식이 없습니다", "does not have that way of reranking"),
        ({"explain": "maybe"}, "true 또는 false", "true or false"),
        ({"departments": 5}, "텍스트가 아닙니다", "is not a text"),
        ({"metadata_filter": '{"name": '}, "1번째 줄 10번째", "line 1, column 10"),
        ({"metadata_filter": "{'name': 1}"}, "JSON이 어긋납니다", "is not valid JSON"),
        ({"metadata_filter": "[]"}, "JSON 객체({...})가 아닙니다", "not a JSON object"),
        ({"metadata_filter": '{"conditions": {}}'}, "conditions는", "conditions must be"),
        ({"metadata_filter": '{"conditions": [{"name": "x"}]}'}, "conditions는", "conditions must be"),
        ({"metadata_filter": '{"year": NaN}'}, "숫자가 아닌 값(NaN)", "holds NaN"),
        ({"metadata_filter": '{"year": 1e999}'}, "너무 큰 숫자", "too large"),
        ({"metadata_filter": '{"year": ' + "9" * 5000 + "}"}, "너무 큰 숫자", "too large"),
        ({"metadata_filter": "[" * 100_000}, "너무 깊게", "nested too deeply"),
        ({"metadata_filter": '{"name": ' + "[" * 150 + "]" * 150 + "}"}, "너무 깊게", "nested too deeply"),
        ({"metadata_filter": '{"year": {"from": 2020}}'}, "'year'의 값은", "the value of 'year'"),
        (
            {"metadata_filter": '{"conditions": [{"name": "a", "comparison_operator": "like", "value": "x"}]}'},
            "'like'",
            "'like'",
        ),
    ],
)
def test_bad_values_are_named(new_tools: Tools, parameters: dict[str, Any], korean: str, english: str) -> None:
    given = {"query": QUESTION, **parameters}
    assert korean in new_tools.failure("retrieve", **given)
    assert english in new_tools.with_credentials(language="en").failure("retrieve", **given)


def test_explain(tools: Tools) -> None:
    plain = tools.run("retrieve", query=QUESTION, top_k=1, explain=False).variables["result"][0]
    assert "stages" not in plain
    explained = tools.run("retrieve", query=QUESTION, top_k=1, explain="true").variables["result"][0]
    assert explained["stages"][-1]["stage"] == "fused"
    assert all({"stage", "rank", "score"} <= set(stage) for stage in explained["stages"])
    assert any("note" in stage for stage in explained["stages"])


@pytest.mark.parametrize(
    "given",
    [
        [TRAVEL, LEAVE],
        [[TRAVEL, LEAVE]],
        [{"text": TRAVEL}, {"page_content": LEAVE}],
        {"result": [{"content": TRAVEL}, {"content": LEAVE}]},
        [{"result": [{"content": TRAVEL}, {"content": LEAVE}], "count": 2}],
        json.dumps([TRAVEL, LEAVE]),
        json.dumps({"result": [{"content": TRAVEL, "score": 0.9}, {"content": LEAVE}]}, ensure_ascii=False),
        str([{"content": TRAVEL, "metadata": {"page": 1}}, {"content": LEAVE, "metadata": {"page": None}}]),
        f"{TRAVEL}\n\n{LEAVE}\n",
        [TRAVEL, "", None, LEAVE],
    ],
)
def test_rerank_takes_passages_in_any_form(new_tools: Tools, given: Any) -> None:
    ranked = new_tools.run("rerank", query="연차휴가는 며칠까지 이월되나요?", passages=given).variables
    assert [(passage["content"], passage["index"]) for passage in ranked["result"]] == [(LEAVE, 1), (TRAVEL, 0)]
    assert ranked["count"] == 2
    assert ranked["result"][0]["score"] > ranked["result"][1]["score"] >= 0


def test_rerank_goes_on_from_retrieve(tools: Tools) -> None:
    found = tools.run("retrieve", query="재택근무 출장비", top_k=4)
    for given in (found.variables["result"], [found.json], found.variables["result"][::-1]):
        ranked = tools.run("rerank", query=QUESTION, passages=given, top_n="2", score_threshold=None)
        first = ranked.variables["result"][0]
        assert SENTENCE in first["content"]
        assert (first["title"], first["metadata"]["department"]) == ("재택근무규정.md", "인사")
        assert ranked.variables["count"] == len(ranked.resources) == 2
        assert ranked.text.startswith("[1] 재택근무규정.md · ")


def test_rerank_limits(tools: Tools) -> None:
    given = {"query": "연차휴가는 며칠까지 이월되나요?", "passages": [TRAVEL, LEAVE]}
    assert tools.run("rerank", **given, top_n=None, score_threshold=0).variables["count"] == 2
    assert tools.run("rerank", **given, score_threshold=0.1).variables["count"] == 1
    none = tools.run("rerank", **given, score_threshold=1)
    assert (none.variables["result"], none.text) == ([], "최소 점수를 넘는 문단이 없습니다.")
    for empty in ("", None, [], [[]], {"result": []}, "\n"):
        nothing = tools.run("rerank", query="연차", passages=empty)
        assert (nothing.variables["result"], nothing.text) == ([], "재정렬할 문단이 없습니다.")
    assert "1,001개" in tools.failure("rerank", query="연차", passages=["연차"] * 1001)
    assert "passages" in tools.failure("rerank", query="연차", passages=[{"no": "content"}])
    assert "passages" in tools.failure("rerank", query="연차", passages=7)
    for foreign in ("[{b'a': 1}]", "[{'content': '연차', 'metadata': {'pages': {1}}}]", "{'연차', '월차'}"):
        assert "passages" in tools.failure("rerank", query="연차", passages=foreign)
    templated = str([{"content": "가" * 200_000}])
    assert "result 변수를 직접" in tools.failure("rerank", query="연차", passages=templated)
    assert "재정렬 방식이 없습니다" in tools.failure("rerank", query="연차", passages=["연차"], mode="cross_encoder")


def test_mask_pii(tools: Tools) -> None:
    text = "담당자 김민준, 010-2345-6789, minjun@example.com"
    text = f"\n  {text} \n"
    masked = tools.run("mask_pii", text=text)
    assert masked.text == masked.json["text"] == "\n  담당자 [PERSON], [PHONE_NUMBER], [EMAIL] \n"
    assert masked.variables["count"] == 3
    spans = {each["type"]: text[each["start"] : each["end"]] for each in masked.variables["entities"]}
    assert spans == {"PERSON": "김민준", "PHONE_NUMBER": "010-2345-6789", "EMAIL": "minjun@example.com"}
    assert "100,001자" in tools.failure("mask_pii", text="가" * 100_001)


def test_search_graph(tools: Tools) -> None:
    found = tools.run("search_graph", entity="재택근무규정", hops="2", limit=5, departments="인사")
    assert found.variables["name"] == "재택근무 규정"
    assert {row["document_name"] for row in found.variables["about"]} == {"재택근무규정.md"}
    assert len(found.variables["about"]) == 5
    assert found.text == found.variables["summary"]
    assert "- 재택근무규정.md (5)" in found.text
    assert found.json == {key: value for key, value in found.variables.items() if key != "summary"}
    told = tools.failure("search_graph", entity="없는 이름")
    assert "다른 이름으로" in told
    assert "없는 이름" in told
    assert "1에서 2 사이" in tools.failure("search_graph", entity="재택근무규정", hops=3)


def test_what_tools_give_is_what_they_declare(new_tools: Tools) -> None:
    runs: dict[str, dict[str, Any]] = {
        "retrieve": {"query": QUESTION},
        "rerank": {"query": QUESTION, "passages": [LEAVE]},
        "answer": {"question": QUESTION},
        "mask_pii": {"text": "김민준"},
        "search_graph": {"entity": "재택근무규정"},
    }
    for name, parameters in runs.items():
        declared = yaml.safe_load((PLUGINS / "llmflow" / "tools" / f"{name}.yaml").read_text())["output_schema"]
        result = new_tools.run(name, **parameters)
        assert set(result.variables) == set(declared["properties"]), name
        assert result.text
        assert result.json
        kinds = {"string": str, "array": list, "number": (int, float), "boolean": bool}
        for variable, schema in declared["properties"].items():
            assert isinstance(result.variables[variable], kinds[schema["type"]]), variable


def test_credentials_are_checked(tools: Tools, server: LLMFlowServer) -> None:
    for role in ("reader", "editor", "administrator"):
        tools.with_credentials(api_key=server.key(role)).validate()
    tools.with_credentials(timeout_s="", language=None).validate()
    for pasted in ("/", "/v1", "/v1/", "/retrieval", "/v1/retrieve"):
        tools.with_credentials(base_url=f" {server.url}{pasted} ").validate()


@pytest.mark.parametrize(
    ("wrong", "korean", "english"),
    [
        ({"api_key": "llmflow_0_0"}, "키(api_key)가 올바르지", "the key (api_key) is wrong"),
        ({"api_key": ""}, "키(api_key)가 비어", "key (api_key) is empty"),
        ({"api_key": "열쇠"}, "쓸 수 없는 글자", "characters that no key has"),
        ({"api_key": "a\nb"}, "쓸 수 없는 글자", "characters that no key has"),
        ({"base_url": ""}, "주소(base_url)가 비어", "(base_url) is empty"),
        ({"base_url": "llmflow.internal:8080"}, "http:// 또는 https://로", "begins with http:// or https://"),
        ({"base_url": "ftp://llmflow"}, "http:// 또는 https://로", "begins with http:// or https://"),
        ({"base_url": "http://llm flow"}, "http:// 또는 https://로", "begins with http:// or https://"),
        *(
            ({"base_url": address}, "http:// 또는 https://로", "begins with http:// or https://")
            for address in ("http://llmflow..internal", f"http://{'a' * 64}.kr", "http://.", "http://xn--zz.x")
        ),
        ({"base_url": "http://user:password@llmflow"}, "'…@llmflow'입니다", "is '…@llmflow'"),
        ({"base_url": "http://llmflow?key=1"}, "사용자 이름, ?, #이 없는", "no user name, ? or #"),
        ({"base_url": "http://llmflow:99999"}, "http:// 또는 https://로", "begins with http:// or https://"),
        ({"base_url": "http://127.0.0.1:9"}, "연결할 수 없습니다", "cannot be reached"),
        ({"base_url": "http://no-such-host.invalid"}, "'no-such-host.invalid'인", "of the name 'no-such-host.invalid'"),
        ({"timeout_s": "abc"}, "1에서 230 사이", "between 1 and 230"),
        ({"timeout_s": "600"}, "1에서 230 사이", "between 1 and 230"),
    ],
)
def test_credentials_that_will_not_do(new_tools: Tools, wrong: dict[str, str], korean: str, english: str) -> None:
    for language, words in (("ko", korean), ("en", english)):
        with pytest.raises(PluginError) as caught:
            new_tools.with_credentials(language=language, **wrong).validate()
        assert words in without_python(caught.value)


def test_a_plugin_names_what_it_lacks(new_tools: Tools) -> None:
    with pytest.raises(PluginError, match="no_such_tool"):
        list(new_tools.plugin.invoke_tool(PROVIDER, "no_such_tool", new_tools.credentials, {}))
