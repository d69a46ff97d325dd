"""Many users of one process: nobody waits for another, and Dify keeps hearing from the plugin."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

from chat_server import Reply
from environments import StartPlugin
from faulty_server import Asked, FaultyServer, as_json
from llmflow_server import LLMFlowServer
from tool_calls import Tools

from dify_plugins.tooling.daemon import Transport

USERS = 100


def test_a_hundred_runs_side_by_side(
    start_plugin: StartPlugin, server: LLMFlowServer, python: str, transport: Transport
) -> None:
    plugin = start_plugin("llmflow", python, transport)
    tools = Tools(plugin, server.credentials())
    expected = tools.run("retrieve", query="연차휴가는 며칠까지 이월되나요?", top_k=3).variables["result"]
    names = [passage["title"] for passage in expected]

    def one_user(number: int) -> bool:
        found = tools.run("retrieve", query="연차휴가는 며칠까지 이월되나요?", top_k=3 + number % 2)
        return [passage["title"] for passage in found.variables["result"]][:3] == names

    before = time.monotonic()
    with ThreadPoolExecutor(USERS) as users:
        assert all(users.map(one_user, range(USERS)))
    beats = [before, *(beat for beat in plugin.heartbeats if beat > before), time.monotonic()]
    assert max(later - earlier for earlier, later in pairwise(beats)) < 30  # the daemon gives up after 120 s
    assert plugin.alive
    assert plugin.strays == 0


def test_nobody_waits_for_another(start_plugin: StartPlugin, python: str) -> None:
    together = threading.Barrier(USERS)

    def all_at_once(_: Asked) -> Reply:
        together.wait(60)
        return as_json({"candidates": [], "timings_ms": {}, "degradations": [], "trace_id": None})

    with FaultyServer(all_at_once).running() as llmflow:
        credentials = {"base_url": llmflow.url, "api_key": "llmflow_key", "language": "en", "timeout_s": "60"}
        tools = Tools(start_plugin("llmflow", python), credentials)
        with ThreadPoolExecutor(USERS) as users:
            results = list(users.map(lambda _: tools.run("retrieve", query="leave"), range(USERS)))
    assert {result.variables["count"] for result in results} == {0}


def test_who_stops_listening_harms_nobody(start_plugin: StartPlugin, server: LLMFlowServer, python: str) -> None:
    plugin = start_plugin("llmflow", python)
    tools = Tools(plugin, server.credentials())
    for _ in range(20):
        next(tools.messages("answer", question="연차휴가는 며칠까지 이월되나요?"))  # the first message is enough
    assert tools.run("answer", question="연차휴가는 며칠까지 이월되나요?").variables["answer"]
    assert plugin.alive


def test_keys_do_not_mix(start_plugin: StartPlugin, server: LLMFlowServer, python: str) -> None:
    plugin = start_plugin("llmflow", python)
    credentials = {
        department: {**server.credentials(), "api_key": server.key("reader", (department,))}
        for department in ("인사", "보안")
    }

    def departments(number: int) -> set[str]:
        own = ("인사", "보안")[number % 2]
        found = Tools(plugin, credentials[own]).run("retrieve", query="재택근무 비밀번호 출장비", score_threshold=0)
        assert found.variables["count"] > 0
        return {passage["metadata"]["department"] for passage in found.variables["result"]} - {own}

    with ThreadPoolExecutor(20) as users:
        assert not any(users.map(departments, range(40)))
