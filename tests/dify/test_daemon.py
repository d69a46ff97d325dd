"""The daemon of the tests itself: what Dify's daemon refuses and kills, it refuses and kills."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from environments import StartPlugin, interpreter

from dify_plugins.tooling.daemon import MAX_LINE, PluginError, PluginProcess, StartError, Transport

CREDENTIALS = {"base_url": "http://127.0.0.1:9", "api_key": "none", "language": "en", "timeout_s": "5"}


def test_a_plugin_that_cannot_start_says_why(tmp_path: Path, transport: Transport) -> None:
    (tmp_path / "main.py").write_text("raise SystemExit('no such licence')\n")
    with pytest.raises(StartError, match="no such licence") as caught:
        PluginProcess(tmp_path, interpreter("py312"), transport).start()
    assert caught.value.reason == "no such licence"


def test_what_never_started_is_closed_in_peace(tmp_path: Path, transport: Transport) -> None:
    process = PluginProcess(tmp_path, tmp_path / "no-python", transport)
    with pytest.raises(StartError, match="no-python: No such file"):
        process.start()
    process.close()
    assert not process.alive


def test_a_plugin_that_is_gone_is_closed_in_peace(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text("import json\nprint(json.dumps({'event': 'heartbeat'}), flush=True)\n")
    with PluginProcess(tmp_path, interpreter("py312")) as process:
        while process.alive:
            time.sleep(0.01)
        with pytest.raises(PluginError, match="does not listen"):
            process.send("session", "request", {})


def test_who_asks_a_plugin_that_has_ended_is_told_at_once(tmp_path: Path) -> None:
    program = """
import json, os, sys
print(json.dumps({"event": "heartbeat"}), flush=True)
os.close(1)
os.close(2)
sys.stdin.read()
"""
    (tmp_path / "main.py").write_text(program)
    with PluginProcess(tmp_path, interpreter("py312")) as process:
        while any(thread.name == f"{tmp_path.name}-reader" for thread in threading.enumerate()):
            time.sleep(0.01)
        with pytest.raises(PluginError, match="the plugin's process ended"):
            list(process.invoke("tool", "invoke_tool", timeout_s=2))


def test_a_line_over_five_megabytes_kills_the_plugin(tmp_path: Path) -> None:
    program = f"""
import json, sys
print(json.dumps({{"event": "heartbeat"}}), flush=True)
request = json.loads(sys.stdin.readline())
data = {{"type": "stream", "data": "x" * {MAX_LINE}}}
print(json.dumps({{"event": "session", "session_id": request["session_id"], "data": data}}), flush=True)
sys.stdin.readline()
"""
    (tmp_path / "main.py").write_text(program)
    with PluginProcess(tmp_path, interpreter("py312")) as process:
        with pytest.raises(PluginError, match="ended"):
            list(process.invoke("tool", "invoke_tool"))
        assert process.longest_line > MAX_LINE
        assert any("killed" in line for line in process.log)


def test_a_plugin_says_what_it_offers(start_plugin: StartPlugin, python: str, transport: Transport) -> None:
    plugin = start_plugin("llmflow", python, transport)
    manifest = plugin.declarations["manifest_declaration"]
    assert (manifest["author"], manifest["name"]) == ("llmflow", "llmflow")
    if transport == "tcp":
        (provider,) = plugin.declarations["tool_declaration"]
        names = {tool["identity"]["name"] for tool in provider["tools"]}
        expected = {"retrieve", "rerank", "answer", "ingest_document", "ingestion_status", "mask_pii", "search_graph"}
        assert names == expected


def test_a_session_the_plugin_does_not_know_harms_nobody(start_plugin: StartPlugin, python: str) -> None:
    plugin = start_plugin("llmflow", python)
    answer: dict[str, Any] = {"backwards_request_id": "nobody", "event": "response", "message": "", "data": {}}
    plugin.send("no-such-session", "backwards_response", answer)
    plugin.send("no-such-session", "request", {"type": "tool", "action": "no_such_action", "user_id": "user"})
    with pytest.raises(PluginError) as caught:
        list(plugin.invoke_tool("llmflow", "no_such_tool", CREDENTIALS, {}))
    assert "no_such_tool" in caught.value.message
    assert plugin.alive
