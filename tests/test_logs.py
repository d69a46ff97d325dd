from __future__ import annotations

import asyncio
import io
import json
import logging
import re
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from contextvars import copy_context
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from llmflow.logs import HIDDEN, bind, configure, note
from llmflow.pii.masker import Masker
from llmflow.schema import Scope
from llmflow.settings import LoggingSettings, PiiSettings, TracingSettings
from llmflow.tracing import Tracer

PHONE = "010-1234-5678"
log = logging.getLogger("llmflow.somewhere")


def hide_phones(text: str) -> str:
    return re.sub(r"\d{3}-\d{4}-\d{4}", "[PHONE]", text)


class Logs:
    """What was written to standard error since `configure`."""

    def __init__(self, stream: io.StringIO) -> None:
        self._stream = stream

    @property
    def lines(self) -> list[str]:
        # What other tests left running may have something to say.
        lines = self._stream.getvalue().split("\n")[:-1]
        return [line for line in lines if "opentelemetry.exporter" not in line and '"langfuse"' not in line]

    @property
    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines]

    @property
    def only(self) -> dict[str, Any]:
        (record,) = self.records
        return record


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Logs]]:
    """Configures logging as a server does; afterwards it is as it was."""
    root = logging.getLogger()
    handlers, level, hook = root.handlers[:], root.level, threading.excepthook
    names = ("llmflow", "evaluation", "uvicorn", "uvicorn.error", "uvicorn.access", "huey", "httpx", "httpcore")
    levels = {name: logging.getLogger(name).level for name in names}

    def configure_now(mask: Callable[[str], str] | None = hide_phones, **settings: Any) -> Logs:
        stream = io.StringIO()
        monkeypatch.setattr(sys, "stderr", stream)
        configure(LoggingSettings(**settings), mask)
        return Logs(stream)

    yield configure_now
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, was in levels.items():
        logging.getLogger(name).setLevel(was)
    logging.captureWarnings(False)
    threading.excepthook = hook


@pytest.fixture
def logs(configured: Callable[..., Logs]) -> Logs:
    return configured()


# Form


def test_a_record_is_one_json_object(logs: Logs) -> None:
    before = datetime.now(UTC)
    log.info(
        "indexed %d chunks of %s", 31, "인사규정.md", extra={"ms": 3.2, "route": "/v1/documents", "more": {"a": [1]}}
    )
    record = logs.only
    time = datetime.fromisoformat(record.pop("time"))
    assert time.utcoffset() == UTC.utcoffset(None)
    assert before <= time <= datetime.now(UTC)
    assert record == {
        "level": "INFO",
        "logger": "llmflow.somewhere",
        "message": "indexed 31 chunks of 인사규정.md",
        "ms": 3.2,
        "route": "/v1/documents",
        "more": {"a": [1]},
    }
    assert "인사규정.md" in logs.lines[0]


def test_text_is_for_reading(configured: Callable[..., Logs]) -> None:
    logs = configured(format="text")
    with bind(tenant="회사"):
        log.warning("slow: %s", PHONE, extra={"ms": 3.2, "legs": ["bm25"], "nothing": None})
    (line,) = logs.lines
    assert re.fullmatch(
        r'\S+T\S+\+00:00 WARNING llmflow\.somewhere: slow: \[PHONE\] ms=3\.2 legs=\["bm25"\] tenant=회사', line
    )


def test_levels(configured: Callable[..., Logs]) -> None:
    logs = configured(level="DEBUG")
    log.debug("ours")
    logging.getLogger("pdfminer").info("the text of a document")
    logging.getLogger("httpx").info("GET http://x/?q=secret")
    logging.getLogger("uvicorn.access").info("GET /?q=secret")
    logging.getLogger("elsewhere").warning("theirs")
    assert [record["message"] for record in logs.records] == ["ours", "theirs"]
    logs = configured(level="ERROR")
    for name in ("llmflow", "elsewhere", "httpx"):
        logging.getLogger(name).warning("no")
        logging.getLogger(name).error("yes")
    assert [record["message"] for record in logs.records] == ["yes"] * 3


def test_configured_twice_each_record_is_written_once(configured: Callable[..., Logs]) -> None:
    first = configured()
    logging.getLogger("uvicorn").addHandler(logging.StreamHandler(io.StringIO()))
    logging.getLogger().addHandler(logging.StreamHandler())
    second = configured()
    logging.getLogger("uvicorn.error").info("once")
    assert first.lines == []
    assert second.only["message"] == "once"


def test_warnings_and_crashed_threads_are_records(logs: Logs) -> None:
    def crash() -> None:
        raise ValueError(f"call {PHONE}")

    thread = threading.Thread(target=crash, name="worker-1")
    thread.start()
    thread.join()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn(f"deprecated {PHONE}", stacklevel=1)
    crashed, warned = logs.records
    assert (crashed["level"], crashed["message"]) == ("ERROR", "thread worker-1 ended by an exception")
    assert "ValueError: call [PHONE]" in crashed["exception"]
    assert "deprecated [PHONE]" in warned["message"]


# Fields


def test_bound_fields_are_in_every_record(logs: Logs) -> None:
    with bind(request_id="r1"):
        with bind(tenant="회사", trace_id="ab"):
            log.info("inner")
        log.info("outer", extra={"tenant": "다른회사"})
        log.info("none", extra={"tenant": None})
    log.info("after")
    fields = [{key: record.get(key) for key in ("request_id", "tenant", "trace_id")} for record in logs.records]
    assert fields == [
        {"request_id": "r1", "tenant": "회사", "trace_id": "ab"},
        {"request_id": "r1", "tenant": "다른회사", "trace_id": None},
        {"request_id": "r1", "tenant": None, "trace_id": None},
        {"request_id": None, "tenant": None, "trace_id": None},
    ]


def test_what_is_noted_in_a_thread_reaches_the_request(logs: Logs) -> None:
    note(tenant="nobody is bound")

    def dependency(tenant: str) -> None:
        note(tenant=tenant)

    async def request(tenant: str) -> None:
        with bind(request_id=f"r-{tenant}"):
            await asyncio.to_thread(dependency, tenant)
            await asyncio.sleep(0.01)
            log.info("request")

    async def both() -> None:
        await asyncio.gather(request("가"), request("나"))

    asyncio.run(both())
    assert sorted((record["request_id"], record["tenant"]) for record in logs.records) == [
        ("r-가", "가"),
        ("r-나", "나"),
    ]


def test_fields_go_where_the_context_is_copied_to(logs: Logs) -> None:
    with bind(tenant="회사"), ThreadPoolExecutor(1) as pool:
        pool.submit(copy_context().run, log.info, "here").result()
        pool.submit(log.info, "not here").result()
    assert [record.get("tenant") for record in logs.records] == ["회사", None]


def test_records_within_an_observation_have_its_trace_id(logs: Logs, tmp_path: Path) -> None:
    with closing(Tracer(TracingSettings(), tmp_path / "traces.db")) as tracer:
        with tracer.acting(Scope("회사", ())), tracer.observe("ask") as step:
            log.info("within")
            with bind(trace_id="bound"):
                log.info("bound")
        log.info("after")
    assert [record.get("trace_id") for record in logs.records] == [step.trace_id, "bound", None]


# Personal data


def test_no_personal_data_leaves(logs: Logs) -> None:
    class Caller:
        def __str__(self) -> str:
            return f"caller {PHONE}"

    log.info("called %s and %s", PHONE, Caller())
    log.info(f"called {PHONE}")
    log.info("called %(who)s", {"who": PHONE})
    log.info({"who": PHONE})
    log.info(
        "called", extra={"who": PHONE, "all": [{"at": (PHONE, 1)}], PHONE: 1, "caller": Caller(), "keys": {PHONE: 1}}
    )
    try:
        try:
            raise KeyError(f"first {PHONE}")
        except KeyError as error:
            raise ValueError(f"then {PHONE}") from error
    except ValueError:
        log.exception("failed", stack_info=True)
    text = "\n".join(logs.lines)
    assert text.count("[PHONE]") >= 11
    assert PHONE not in text.replace(f'"{PHONE}": 1', "")  # names of extras are constants of the code
    failed = logs.records[-1]
    assert "KeyError: 'first [PHONE]'" in failed["exception"]
    assert failed["exception"].endswith("ValueError: then [PHONE]")
    assert "test_logs.py" in failed["stack"]


def test_the_masker_of_the_product_fits(configured: Callable[..., Logs]) -> None:
    masker = Masker(PiiSettings())
    logs = configured(lambda text: masker.mask(text).text)
    log.warning("수신: %s", "김철수 과장 010-1234-5678 hong@example.com")
    log.info("request", extra={"method": "POST", "route": "/v1/answer", "status": 200, "ms": 12.5})
    first, second = logs.records
    assert "010-1234-5678" not in first["message"]
    assert "hong@example.com" not in first["message"]
    assert (second["method"], second["route"], second["status"]) == ("POST", "/v1/answer", 200)


def test_what_cannot_hold_personal_data_is_not_masked(configured: Callable[..., Logs]) -> None:
    asked: list[str] = []

    def mask(text: str) -> str:
        asked.append(text)
        return text

    logs = configured(mask)
    for number in range(50):
        log.info("Indexed %d chunks in %.1f s: %s", number, 0.5, "bm25")
        log.info("request", extra={"method": "GET", "route": "/v1/documents/{id}", "id": f"{number:016d}a" + "b" * 15})
    assert len(logs.lines) == 100
    assert asked == ["Indexed %d chunks in %.1f s: %s"]
    log.info("phone %d", 1012345678)
    log.info("card", extra={"number": "4111111111111111"})
    assert asked[1:] == ["phone 1012345678", "4111111111111111"]


def test_what_cannot_be_masked_is_hidden(configured: Callable[..., Logs]) -> None:
    def broken(text: str) -> str:
        logging.getLogger("llmflow.pii").warning("Cannot mask %s", text)
        raise RuntimeError(text)

    logs = configured(broken)
    log.warning("Called %s", PHONE, extra={"who": PHONE})
    assert PHONE not in "\n".join(logs.lines)
    assert (logs.records[-1]["message"], logs.records[-1]["who"]) == (HIDDEN, HIDDEN)


def test_a_record_that_cannot_be_made_is_reported_without_its_values(
    logs: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = logging.getLogger()
    # The handlers of pytest fail where a record cannot be made.
    monkeypatch.setattr(root, "handlers", [each for each in root.handlers if type(each).__module__ == "llmflow.logs"])

    class Broken:
        def __str__(self) -> str:
            raise RuntimeError(PHONE)

    log.info("Too few: %s %s", PHONE)
    log.info("Broken %s", Broken())
    log.info("fine")
    first, second, third = logs.records
    assert first["message"] == "Too few: %s %s"
    assert re.fullmatch(r"a record from .*test_logs\.py:\d+ could not be written", second["message"])
    assert third["message"] == "fine"
    assert PHONE not in "\n".join(logs.lines)


def test_long_texts_are_cut(logs: Logs) -> None:
    log.info("text %s", "가" * 50_000)
    assert logs.only["message"].endswith("… (cut; 50005 characters)")


# Injection


@pytest.mark.parametrize("format", ["json", "text"])
def test_nobody_forges_a_line(configured: Callable[..., Logs], format: str) -> None:
    logs = configured(format=format)
    forged = "2026-01-01T00:00:00.000+00:00 ERROR llmflow: forged"
    ends = ["\n", "\r", "\r\n", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029", "\x1b[2K", "\x9b2K", "\0"]
    with bind(request_id="r" + "".join(ends) + forged):
        for end in ends:
            log.info("asked %s", f"x{end}{forged}", extra={"who": f"x{end}{forged}"})
        try:
            raise ValueError("".join(f"{end}{forged}" for end in ends))
        except ValueError:
            log.exception("failed")
    text = "\n".join(logs.lines)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]", text)
    assert not any(line.startswith(forged) for line in text.splitlines())
    if format == "json":
        assert len(logs.records) == len(ends) + 1
        assert logs.records[0]["message"] == f"asked x\n{forged}"


# Libraries


class Hello(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_httpx_says_nothing_of_urls(configured: Callable[..., Logs]) -> None:
    logs = configured(level="DEBUG")
    with HTTPServer(("127.0.0.1", 0), Hello) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        httpx.get(f"http://127.0.0.1:{server.server_port}/?q=secret")
        server.shutdown()
    # Threads of other tests may have their say meanwhile.
    assert [line for line in logs.lines if "http" in line or "secret" in line] == []


def test_uvicorn_goes_the_same_way(logs: Logs) -> None:
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        raise ValueError(f"call {PHONE}")

    async def serve() -> None:
        server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, lifespan="off"))
        running = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        async with httpx.AsyncClient() as client:
            assert (await client.get(f"http://127.0.0.1:{port}/?q=secret")).status_code == 500
        server.should_exit = True
        await running

    asyncio.run(serve())
    records = logs.records
    assert {record["logger"] for record in records} == {"uvicorn.error"}
    (failed,) = [record for record in records if record["level"] == "ERROR"]
    assert failed["exception"].endswith("ValueError: call [PHONE]")
    text = "\n".join(logs.lines)
    assert PHONE not in text
    assert "secret" not in text
    assert "color_message" not in text
