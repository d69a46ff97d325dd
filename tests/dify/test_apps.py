"""The importable flows as files: by Dify's rules, in step in both languages, and the code in their code nodes."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from environments import PLUGINS

from dify_plugins.tooling.validation import catalogue, validate_flow

APPS = PLUGINS / "apps"
FLOWS = sorted(APPS.glob("*.yml"))
NAMES = sorted({flow.name.partition(".")[0] for flow in FLOWS})
EVERY_FLOW = pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.stem)
BOTH_LANGUAGES = pytest.mark.parametrize("language", ["ko", "en"])
REFERENCE = re.compile(r"\{\{#.*?#\}\}")
HANGUL = re.compile("[가-힣]")


def read(flow: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(flow.read_text(encoding="utf-8"))
    return content


def nodes(flow: Path) -> dict[str, dict[str, Any]]:
    """The data of a flow's nodes, by id."""
    return {node["id"]: node["data"] for node in read(flow)["workflow"]["graph"]["nodes"]}


def code(name: str, language: str, node: str, **inputs: Any) -> dict[str, Any]:
    """What a code node gives for some inputs."""
    data = nodes(APPS / f"{name}.{language}.yml")[node]
    space: dict[str, Any] = {}
    exec(data["code"], space)
    outputs: dict[str, Any] = space["main"](**inputs)
    assert set(outputs) == set(data["outputs"])
    return outputs


@EVERY_FLOW
def test_dify_takes_it(flow: Path) -> None:
    assert validate_flow(flow, catalogue(PLUGINS)) == []


@EVERY_FLOW
def test_it_asks_for_no_particular_build_of_a_plugin(flow: Path) -> None:
    """Dify compares checksums, which signing and packing wheels change, and says that a plugin fails to load."""
    assert read(flow)["dependencies"] == []
    assert "plugin_unique_identifier" not in flow.read_text(encoding="utf-8")


@EVERY_FLOW
def test_tools_have_the_names_that_their_plugin_gives_them(flow: Path) -> None:
    language = {"ko": "ko_KR", "en": "en_US"}[flow.suffixes[0].removeprefix(".")]
    used = [data for data in nodes(flow).values() if data["type"] == "tool"]
    for agent in (data for data in nodes(flow).values() if data["type"] == "agent"):
        used += agent["agent_parameters"]["tools"]["value"]
    assert used
    for tool in used:
        declared = yaml.safe_load((PLUGINS / "llmflow" / "tools" / f"{tool['tool_name']}.yaml").read_text("utf-8"))
        assert tool["tool_label"] == declared["identity"]["label"][language].partition(" · ")[0]


@EVERY_FLOW
def test_every_tool_provides_for_its_failure(flow: Path) -> None:
    for name, data in nodes(flow).items():
        if data["type"] in ("tool", "agent", "http-request"):
            assert data["error_strategy"] in ("fail-branch", "default-value")
            if data["error_strategy"] == "default-value":
                assert f"[{name}, error_message]" in flow.read_text("utf-8")
            assert data["retry_config"]["retry_enabled"] is (data.get("tool_name") in REPEATABLE)


REPEATABLE = {"retrieve", "ingestion_status", "mask_pii"}
"""Tools that may be called twice: not what adds a document, nor what has half an answer on the screen."""


@EVERY_FLOW
def test_the_canvas_reads_from_left_to_right(flow: Path) -> None:
    graph = read(flow)["workflow"]["graph"]
    place = {node["id"]: node for node in graph["nodes"]}
    for edge in graph["edges"]:
        source, target = place[edge["source"]], place[edge["target"]]
        assert source["position"]["x"] + source["width"] < target["position"]["x"]
    for one in graph["nodes"]:
        assert one["position"] == one["positionAbsolute"]
        for other in graph["nodes"]:
            apart = abs(one["position"]["x"] - other["position"]["x"]) >= 244
            beneath = other["position"]["y"] - one["position"]["y"] >= one["height"]
            above = one["position"]["y"] - other["position"]["y"] >= other["height"]
            assert one is other or apart or beneath or above, (one["id"], other["id"])


@EVERY_FLOW
def test_what_people_read_is_in_the_language_of_the_flow(flow: Path) -> None:
    content = read(flow)
    features = content["workflow"]["features"]
    texts = [content["app"]["name"], content["app"]["description"], *features["suggested_questions"]]
    texts += [variable["description"] for variable in content["workflow"]["environment_variables"]]
    for data in nodes(flow).values():
        texts += [data["title"], data["desc"]]
        texts += [variable["label"] for variable in data.get("variables") or () if "label" in variable]
    assert all(texts)
    if ".ko." in flow.name:
        assert [text for text in texts if not HANGUL.search(text)] == []
    else:
        assert not HANGUL.search(flow.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", NAMES)
def test_a_pair_differs_in_nothing_but_its_words(name: str) -> None:
    korean, english = (read(APPS / f"{name}.{language}.yml") for language in ("ko", "en"))
    assert list(_differences(korean, english, "")) == []


def _differences(korean: Any, english: Any, at: str) -> Iterator[str]:
    """Where more differs than what is said: with Korean words in one, a text needs only the same variables."""
    match korean, english:
        case dict(), dict() if korean.keys() == english.keys():
            for key in korean:
                yield from _differences(korean[key], english[key], f"{at}/{key}")
        case list(), list() if len(korean) == len(english):
            for index, pair in enumerate(zip(korean, english, strict=True)):
                yield from _differences(*pair, f"{at}/{index}")
        case str(), str() if at.endswith("/code"):
            yield from _differences(_logic(ast.parse(korean)), _logic(ast.parse(english)), f"{at}/program")
        case str(), str() if HANGUL.search(korean):
            if sorted(REFERENCE.findall(korean)) != sorted(REFERENCE.findall(english)):
                yield at
        case _ if korean != english:
            yield f"{at}: {korean!r} and {english!r}"


def _logic(node: Any) -> Any:
    """A program as values; of a text with expressions in it those expressions, which languages order differently."""
    match node:
        case ast.JoinedStr():
            return sorted(ast.dump(part) for part in node.values if isinstance(part, ast.FormattedValue))
        case ast.AST():
            return {"node": type(node).__name__, **{name: _logic(value) for name, value in ast.iter_fields(node)}}
        case list():
            return [_logic(each) for each in node]
        case _:
            return node


def _passages(**scores: float) -> list[dict[str, Any]]:
    return [{"score": score, "metadata": {"department": department}} for department, score in scores.items()]


@BOTH_LANGUAGES
def test_an_enquiry_goes_to_the_department_whose_documents_fit_better(language: str) -> None:
    def desk(*passages: dict[str, Any]) -> str:
        given = {"passages": list(passages), "hr": " hr ", "it": "it"}
        decided: str = code("helpdesk_hr_it", language, "classify", **given)["desk"]
        return decided

    assert desk(*_passages(hr=0.3, it=0.2)) == "hr"
    assert desk(*_passages(hr=0.3, it=0.2), *_passages(it=0.2)) == "it"
    assert desk() == "none"


@BOTH_LANGUAGES
def test_a_ticket_is_json_whatever_the_enquiry_holds(language: str) -> None:
    question = '  프린터가 "안 돼요"\\n {{#x#}}\n둘째 줄\t'
    citations = [{"document_name": "a.md"}, {"document_name": "b.md"}, {"document_name": "a.md"}]
    given = {"question": question, "answer": "재시작 [1]", "citations": citations, "trace_id": "0af7"}
    ticket = json.loads(code("helpdesk_hr_it", language, "ticket", **given)["body"])
    assert ticket["title"] == '프린터가 "안 돼요"\\n {{#x#}}'
    assert ticket["description"].startswith(question.strip())
    assert ticket["description"].endswith("재시작 [1]")
    assert (ticket["documents"], ticket["reference"]) == (["a.md", "b.md"], "0af7")


@BOTH_LANGUAGES
def test_without_a_failure_nothing_is_said_of_one(language: str) -> None:
    assert code("knowledge_qa", language, "failure", error="키가 만료되었습니다.")["text"] == "키가 만료되었습니다."
    assert code("knowledge_qa", language, "failure", error=None)["text"] == ""


@pytest.mark.parametrize("name", ["helpdesk_hr_it", "document_intake"])
def test_whichever_tool_fails_is_heard(name: str) -> None:
    tools = nodes(APPS / f"{name}.ko.yml")
    heard = [tool for tool, error in tools["failure"]["variables"] if error == "error_message"]
    assert heard == [tool for tool, data in tools.items() if data["type"] == "tool"]


def test_a_report_counts_each_line_once_and_shows_masked_places_only() -> None:
    first, second = "[PERSON], [PHONE_NUMBER]\n제1조 [서식]", "[PERSON], [PHONE_NUMBER]\n[VEHICLE]"
    text = f"명단.txt\n[1] 명단.txt\n{first}\n\n[2] 명단.txt\n{second}"
    given = {"text": text, "department": "인사", "chunks": 2, "seen": 2, "unmasked": 0}
    report = code("document_intake", "ko", "report", **given)["text"]
    assert "- 문서: 명단.txt\n- 부서: 인사\n- 점검한 문단: 2개 가운데 2개" in report
    assert "## 찾은 개인정보 3건\n\n- 이름: 1건\n- 전화번호: 1건\n- 차량 번호: 1건" in report
    assert report.endswith("> [PERSON], [PHONE_NUMBER]\n> [VEHICLE]")
    assert "주의" not in report


def test_equal_rows_of_tables_all_count_and_equal_text_of_passages_once() -> None:
    """Masked rows look alike, and a table that is cut at its rows has them in several passages."""
    row, line = "| [PERSON] | [PHONE_NUMBER] |", "담당: [PERSON]"
    first, second = f"| 이름 | 전화 |\n{row}\n{row}", f"| 이름 | 전화 |\n{row}"
    text = f"명단.csv\n[1] 명단.csv · 1쪽\n{first}\n\n[2] 명단.csv\n{second}\n\n"
    text += f"[3] 명단.csv\n{line}\n{line}\n\n[4] 명단.csv\n{line}"
    given = {"text": text, "department": "인사", "chunks": 4, "seen": 4, "unmasked": 0}
    report = code("document_intake", "ko", "report", **given)["text"]
    assert "## 찾은 개인정보 8건\n\n- 이름: 5건\n- 전화번호: 3건" in report
    assert report.endswith(f"> {row} (같은 줄 3개)\n> {line} (같은 줄 2개)")


@BOTH_LANGUAGES
def test_a_report_that_has_not_seen_every_passage_counts_from_below(language: str) -> None:
    """Masked passages may look alike, and a search gives only one of those."""
    given = {"text": "a.md\n[1] a.md\n[PERSON]", "department": "it", "chunks": 3, "unmasked": 0}
    least = {"ko": "개인정보 1건 이상\n", "en": "found: at least 1\n"}[language]
    assert least in code("document_intake", language, "report", seen=1, **given)["text"]
    assert least not in code("document_intake", language, "report", seen=3, **given)["text"]


@BOTH_LANGUAGES
def test_a_report_takes_no_other_word_in_brackets_for_personal_data(language: str) -> None:
    given = {"text": "a.md\n[1] a.md\n# [IT] [VPN]\n[FAQ]", "department": "it", "chunks": 1, "seen": 1, "unmasked": 0}
    report = code("document_intake", language, "report", **given)["text"]
    assert report.endswith({"ko": "찾지 못했습니다.", "en": "No personal data was found."}[language])


@BOTH_LANGUAGES
def test_a_report_warns_of_what_is_not_masked(language: str) -> None:
    given = {"text": "[PERSON].txt\n", "department": "hr", "chunks": 0, "seen": 0, "unmasked": 2}
    report = code("document_intake", language, "report", **given)["text"]
    warning, nothing = {"ko": ("개인정보 2건", "찾지 못했습니다"), "en": ("2 items", "No personal data")}[language]
    assert warning in report
    assert "pii.enabled" in report
    assert nothing in report


def test_a_report_knows_every_kind_of_personal_data() -> None:
    from llmflow.pii.entities import ENTITY_TYPES

    for language in ("ko", "en"):
        space: dict[str, Any] = {}
        exec(nodes(APPS / f"document_intake.{language}.yml")["report"]["code"], space)
        assert set(space["LABELS"]) == set(ENTITY_TYPES)
