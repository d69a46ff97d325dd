"""The importable flows in Dify's engine, with the live plugin and a real server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from environments import PLUGINS, StartPlugin
from faulty_server import FaultyServer, events
from llmflow_server import SAMPLES, LLMFlowServer
from scripted_dify import Dify, Says, model, steps
from scripted_dify import run as invoke
from workflow_host import Run, WorkflowHost

APPS = PLUGINS / "apps"
DEPARTMENTS = {"HR_DEPARTMENT": "인사", "IT_DEPARTMENT": "보안"}
NOWHERE = {"base_url": "http://127.0.0.1:9"}
UNREACHABLE = {
    "ko": "LLMFlow 서버(http://127.0.0.1:9)에 연결할 수 없습니다.",
    "en": "The LLMFlow server (http://127.0.0.1:9) cannot be",
}
BOTH_LANGUAGES = pytest.mark.parametrize("language", ["ko", "en"])
PRIVATE = ("김민준", "010-0000-1234", "minjun.kim@example.com", "900101-1234567")
CONTRACT = {
    "ko": "근로계약 안내\n\n담당자 {}, 휴대전화 {}, 전자우편 {}로 문의해 주십시오.\n\n주민등록번호는 {}입니다.\n",
    "en": "About contracts\n\n담당자 {}, mobile phone {}, e-mail {}.\n\nThe number 주민등록번호 is {}.\n",
}
LEAVE = {
    "ko": ("육아휴직은 어떻게 쓰나요?", "휴가규정.pdf"),
    "en": ("How many days a week may I work from home?", "employee_handbook.pdf"),
}
PASSWORDS = {
    "ko": ('비밀번호는 "몇 자" 이상이어야 하나요?\n{} \\n', "정보보안규정.hwpx"),
    "en": ('How long must my "password" be?\n{} \\n', "it_security_faq.md"),
}
"""Questions with the document that answers them; these hold what JSON has to escape."""


@pytest.fixture(scope="module")
def host(server: LLMFlowServer, start_plugin: StartPlugin) -> Iterator[WorkflowHost]:
    """The engine with the plugin and an administrator's key; the server has a Korean document on IT as well."""
    plugins = {"llmflow/llmflow": start_plugin("llmflow", "py312", "tcp")}
    with httpx.Client(base_url=server.url, timeout=60, headers={"Authorization": f"Bearer {server.key()}"}) as client:
        with (SAMPLES / "정보보안규정.hwpx").open("rb") as file:
            taken = client.post("/v1/documents", files={"files": file}, data={"department": "보안"}).json()
        job = f"/v1/jobs/{taken['jobs'][0]['id']}"
        client.get(job, headers={"Accept": "text/event-stream"})  # lasts as long as the job
        assert client.get(job).json()["status"] == "done"
        with WorkflowHost(plugins, server.credentials()) as running:
            yield running
        client.delete(f"/v1/documents/{taken['documents'][0]['id']}").raise_for_status()


@pytest.fixture
def tickets(host: WorkflowHost) -> Iterator[WorkflowHost]:
    """The host with a ticket system that is empty and works."""
    host.tickets.clear()
    yield host
    host.ticket_status = 201


def run(host: WorkflowHost, name: str, language: str, credentials: dict[str, Any] | None = None, **more: Any) -> Run:
    """Run a flow with the plugin speaking its language."""
    more.setdefault("environment", DEPARTMENTS if name == "helpdesk_hr_it" else {})
    return host.run(APPS / f"{name}.{language}.yml", credentials={"language": language, **(credentials or {})}, **more)


@pytest.mark.parametrize(
    ("language", "question", "answer", "source"),
    [
        ("ko", "연차휴가는 며칠까지 이월되나요?", "연차휴가는 5일까지", "[1] 휴가규정.pdf · 2쪽"),
        ("en", "How many days a week may I work from home?", "two days a week", "[1] employee_handbook.pdf · page 2"),
    ],
    ids=["ko", "en"],
)
def test_a_question_is_answered_with_its_source(
    host: WorkflowHost, language: str, question: str, answer: str, source: str
) -> None:
    done = run(host, "knowledge_qa", language, query=question)
    assert done.status == "succeeded"
    assert answer in done.reply
    assert source in done.reply
    assert done.nodes["answer"].outputs["citations"][0]["document_name"] in source
    assert "answer" not in done.pieces[0].finished, "the answer is shown only once all of it is made"


@BOTH_LANGUAGES
def test_an_answer_that_fails_says_why(host: WorkflowHost, language: str) -> None:
    done = run(host, "knowledge_qa", language, NOWHERE, query="연차휴가는 며칠까지 이월되나요?")
    assert (done.status, done.retries) == ("partial-succeeded", ())
    assert done.reply.startswith(UNREACHABLE[language])
    assert "error type" not in done.reply


def test_an_answer_that_breaks_off_says_so(host: WorkflowHost) -> None:
    """What was shown cannot be taken back."""
    breaking_off = FaultyServer(lambda _: events(("delta", {"text": "연차휴가는 "})))
    with breaking_off.running():
        done = run(host, "knowledge_qa", "ko", {"base_url": breaking_off.url}, query="연차휴가는 며칠인가요?")
    assert done.reply.startswith("연차휴가는 ")
    assert done.reply.count("도중에 끊어졌습니다") == 1


@BOTH_LANGUAGES
def test_hr_answers_from_its_documents_and_opens_no_ticket(tickets: WorkflowHost, language: str) -> None:
    question, source = LEAVE[language]
    environment = {**DEPARTMENTS, "TICKET_URL": f"{tickets.url}/tickets", "TICKET_TOKEN": "token"}
    done = run(tickets, "helpdesk_hr_it", language, query=question, environment=environment)
    assert done.status == "succeeded"
    assert done.reply.startswith("**인사 문의**" if language == "ko" else "**HR enquiry**")
    assert source in done.reply
    assert {citation["document_name"] for citation in done.nodes["answer_hr"].outputs["citations"]} == {source}
    assert not {"answer_it", "open_ticket", "failure"} & done.nodes.keys()
    assert tickets.tickets == []


@BOTH_LANGUAGES
def test_it_answers_and_opens_a_ticket(tickets: WorkflowHost, language: str) -> None:
    question, source = PASSWORDS[language]
    environment = {**DEPARTMENTS, "TICKET_URL": f"{tickets.url}/tickets", "TICKET_TOKEN": "token"}
    done = run(tickets, "helpdesk_hr_it", language, query=question, environment=environment)
    assert done.status == "succeeded"
    assert done.reply.startswith("**IT 문의**" if language == "ko" else "**IT enquiry**")
    assert source in done.reply
    assert done.reply.endswith(
        "IT 담당자가 이어서 도와드립니다." if language == "ko" else "the IT team will follow up."
    )
    (ticket,) = tickets.tickets
    assert ticket["authorization"] == "Bearer token"
    assert ticket["body"]["title"] == question.splitlines()[0]
    assert ticket["body"]["description"].startswith(question)
    assert source in ticket["body"]["documents"]
    assert done.nodes["answer_it"].outputs["answer"] in ticket["body"]["description"]


@BOTH_LANGUAGES
def test_it_answers_without_a_ticket_system(tickets: WorkflowHost, language: str) -> None:
    done = run(tickets, "helpdesk_hr_it", language, query="VPN")
    assert done.status == "succeeded"
    contact = "IT 담당자에게 연락해 주십시오." if language == "ko" else "please contact the IT team."
    assert done.reply.endswith(contact)
    assert tickets.tickets == []


@BOTH_LANGUAGES
def test_a_ticket_that_was_not_taken_is_said_and_not_sent_again(tickets: WorkflowHost, language: str) -> None:
    tickets.ticket_status = 500
    environment = {**DEPARTMENTS, "TICKET_URL": f"{tickets.url}/tickets", "TICKET_TOKEN": "token"}
    done = run(tickets, "helpdesk_hr_it", language, query="VPN", environment=environment)
    assert (done.status, len(tickets.tickets)) == ("partial-succeeded", 1)
    assert ("티켓은 등록하지 못했습니다." if language == "ko" else "No ticket could be opened.") in done.reply
    assert "500" in done.reply


@BOTH_LANGUAGES
def test_a_ticket_system_needs_a_token(tickets: WorkflowHost, language: str) -> None:
    """Dify sends no request whose key is empty, which the variable's description says."""
    environment = {**DEPARTMENTS, "TICKET_URL": f"{tickets.url}/tickets"}
    done = run(tickets, "helpdesk_hr_it", language, query="VPN", environment=environment)
    assert done.status == "partial-succeeded"
    assert "API key is required" in done.reply
    assert tickets.tickets == []


@BOTH_LANGUAGES
def test_an_enquiry_of_neither_department_is_asked_about(host: WorkflowHost, language: str) -> None:
    done = run(host, "helpdesk_hr_it", language, query="점심 메뉴 추천해 주세요")
    assert done.status == "succeeded"
    assert done.reply.startswith("인사 문서와 IT 문서 어디에서도" if language == "ko" else "Neither the HR nor the IT")
    assert done.nodes["classify"].outputs["desk"] == "none"
    assert ("IT 담당자에게 바로 연락해 주십시오." if language == "ko" else "the IT team.") in done.reply


@BOTH_LANGUAGES
def test_a_help_desk_whose_server_is_down_says_so(host: WorkflowHost, language: str) -> None:
    done = run(host, "helpdesk_hr_it", language, NOWHERE, query="VPN")
    assert (done.status, done.retries) == ("partial-succeeded", ("retrieve",))
    assert UNREACHABLE[language] in done.reply
    assert "error" not in done.reply
    assert "classify" not in done.nodes


@BOTH_LANGUAGES
def test_a_document_is_taken_in_and_its_personal_data_reported(
    host: WorkflowHost, server: LLMFlowServer, tmp_path: Path, language: str
) -> None:
    document = tmp_path / "근로계약_안내.txt"
    document.write_text(CONTRACT[language].format(*PRIVATE), encoding="utf-8")
    done = run(host, "document_intake", language, document=document, department="인사")
    assert done.status == "succeeded", done.outputs
    assert _removed(server, done)["department"] == "인사"
    report = done.outputs["report"]
    assert done.outputs.keys() == {"report"}
    assert document.name in report
    for shown in ("[PERSON]", "[PHONE_NUMBER]", "[EMAIL]", "[KR_RRN]"):
        assert report.count(shown) == 1
    assert ("찾은 개인정보 4건" if language == "ko" else "Personal data found: 4") in report
    assert ("주민등록번호: 1건" if language == "ko" else "Resident registration numbers: 1") in report
    for name, node in done.nodes.items():
        for secret in PRIVATE:
            assert secret not in json.dumps(node.outputs, ensure_ascii=False), name


@BOTH_LANGUAGES
def test_every_customer_of_a_table_is_counted(
    host: WorkflowHost, server: LLMFlowServer, tmp_path: Path, language: str
) -> None:
    """Masked rows look alike."""
    document = tmp_path / "고객명단.csv"
    rows = [f"홍길동,010-1{number:03}-2222,gildong{number}@example.com" for number in range(5)]
    document.write_text("\n".join(["이름,전화번호,이메일", *rows]), encoding="utf-8")
    done = run(host, "document_intake", language, document=document, department="인사")
    assert done.status == "succeeded", done.outputs
    _removed(server, done)
    assert ("찾은 개인정보 15건\n" if language == "ko" else "Personal data found: 15\n") in done.outputs["report"]


@BOTH_LANGUAGES
def test_a_document_that_cannot_be_read_is_reported(
    host: WorkflowHost, server: LLMFlowServer, tmp_path: Path, language: str
) -> None:
    document = tmp_path / "계약서.pdf"
    document.write_bytes(b"%PDF-1.7\nnothing of a PDF\n")
    done = run(host, "document_intake", language, document=document, department="인사")
    assert done.status == "succeeded", done.outputs
    assert _removed(server, done)["status"] == "failed"
    assert done.outputs["report"].startswith("'계약서.pdf'")
    assert done.outputs["report"] == done.nodes["status"].outputs["text"]
    assert done.nodes["status"].outputs["status"] == "failed"
    assert "find" not in done.nodes


def _removed(server: LLMFlowServer, done: Run) -> dict[str, Any]:
    """The document that a run took in, which is there no longer."""
    headers = {"Authorization": f"Bearer {server.key()}"}
    address = f"{server.url}/v1/documents/{done.nodes['ingest'].outputs['document_id']}"
    document: dict[str, Any] = httpx.get(address, headers=headers).json()["document"]
    httpx.delete(address, headers=headers).raise_for_status()
    return document


@BOTH_LANGUAGES
def test_a_department_that_may_not_be_written_to_is_named(host: WorkflowHost, tmp_path: Path, language: str) -> None:
    document = tmp_path / "안내.txt"
    document.write_text("안내", encoding="utf-8")
    done = run(host, "document_intake", language, document=document, department="없는부서")
    assert (done.status, done.retries) == ("partial-succeeded", ())
    assert "'없는부서'" in done.outputs["report"]
    assert "error type" not in done.outputs["report"]


@BOTH_LANGUAGES
def test_the_engine_takes_the_report_but_for_its_agent(host: WorkflowHost, language: str) -> None:
    """Agent nodes are Dify's own; its engine runs the others."""
    found = host.inspect(APPS / f"report_supervisor.{language}.yml")
    assert found["reason"] == "Unsupported node types: agent"
    assert found["nodes"] == ["start", "supervisor", "reply", "reply_failure"]


@BOTH_LANGUAGES
def test_the_agent_of_the_report_works_with_what_the_flow_gives_it(
    host: WorkflowHost, server: LLMFlowServer, start_plugin: StartPlugin, language: str
) -> None:
    """Dify's agent node and the model are played; strategy, tools and server are real."""
    flow = yaml.safe_load((APPS / f"report_supervisor.{language}.yml").read_text(encoding="utf-8"))
    (agent,) = (node["data"] for node in flow["workflow"]["graph"]["nodes"] if node["data"]["type"] == "agent")
    given = {name: each["value"] for name, each in agent["agent_parameters"].items()}
    question, source = LEAVE[language]
    credentials = server.credentials("reader", language)
    (provider,) = host.plugins["llmflow/llmflow"].declarations["tool_declaration"]
    declared = {tool["identity"]["name"]: tool for tool in provider["tools"]}

    def prepared(chosen: dict[str, Any]) -> dict[str, Any]:
        tool = declared[chosen["tool_name"]]
        identity = {**tool["identity"], "provider": chosen["provider_name"]}
        more = {"runtime_parameters": chosen["settings"], "credential_id": None, "provider_type": chosen["type"]}
        return {**tool, "identity": identity, **more}

    def called(name: str) -> Any:
        plugin = host.plugins["llmflow/llmflow"]
        return lambda parameters: plugin.invoke_tool("llmflow", name, credentials, dict(parameters))

    given["model"] = {**model(), **given["model"]}
    given["tools"] = [prepared(chosen) for chosen in given["tools"] if chosen["enabled"]]
    given["query"] = question
    script = [steps(question), Says(calls=[("retrieve", {"query": question})]), Says("[1]"), Says("## [1]")]
    dify = Dify(script, {name: called(name) for name in declared})
    seen = invoke(start_plugin("llmflow_supervisor"), dify, **given)
    assert [resource["document_name"] for resource in seen.resources] == [source]
    assert [call["tool"] for call in dify.called] == ["retrieve"]
    assert {request["model"] for request in dify.asked} == {"student"}
    offered = {tool["name"] for request in dify.asked for tool in request["tools"] or ()}
    assert {"retrieve", "answer", "search_graph"} <= offered
    assert given["instruction"] in json.dumps(dify.asked[-1]["prompt_messages"], ensure_ascii=False)
