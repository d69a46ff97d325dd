"""Settings, errors and help."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from command_line import run
from typer.main import get_command

from llmflow.cli.main import app
from llmflow.settings import Settings


def test_unknown_settings_are_refused_with_exit_code_2(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMFLOW_RETRIEVAL__TOP_J", "3")
    ran = run("search", "x")
    assert ran.code == 2
    assert ran.out == ""
    assert ran.err.startswith("error: setting retrieval.top_j: ")
    assert len(ran.err.splitlines()) == 1
    ran = run("search", "x", "--json")
    assert ran.code == 2
    assert ran.err == ""
    assert ran.json["error"]["code"] == "configuration"
    assert ran.json["error"]["param"] == "retrieval.top_j"


def test_wrong_arguments_are_refused_with_exit_code_2(place: Path) -> None:
    for arguments in (["search"], ["search", "x", "--nope"], ["serch"], ["search", "x", "--top-k", "0"]):
        ran = run(*arguments)
        assert ran.code == 2, arguments
        assert ran.out == ""
        assert ran.err.startswith("error: "), arguments
        assert run(*arguments, "--json").json["error"]["message"]
    ran = run("ingest", "nowhere")
    assert ran.code == 2
    assert "nowhere does not exist" in ran.err


def test_messages_cannot_steer_the_terminal(place: Path) -> None:
    ran = run("ingest", "evil\x1b[2Jname")
    assert ran.code == 2
    assert "\x1b" not in ran.err
    assert "evil\ufffd[2Jname" in ran.err


def test_config_show_is_a_settings_file_with_secrets_hidden(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMFLOW_LLM__API_KEY", "sk-secret")
    monkeypatch.setenv("LLMFLOW_DATABASE__URL", "postgresql://me:secret@db.example.com/llmflow")
    shown = run("config", "show")
    assert shown.code == 0
    assert "secret" not in shown.out.replace("secret_key", "")
    values = yaml.safe_load(shown.out)
    assert values["data_dir"] == str(place / "data")
    assert values["database"]["url"] == "postgresql://me:**********@db.example.com/llmflow"
    assert Settings(**values).parsing.ocr == "off"
    assert run("config", "show", "--json").json == values


def test_config_path(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("config", "path", "--json").json == {"path": str(place / "llmflow.yaml"), "exists": False}
    file = tmp_path / "mine.yaml"
    file.write_text("tenant: acme\n", encoding="utf-8")
    monkeypatch.setenv("LLMFLOW_CONFIG", str(file))
    assert run("config", "path").out.strip() == str(file)
    assert run("config", "show", "--json").json["tenant"] == "acme"


def test_every_command_has_an_example_and_json() -> None:
    group = get_command(app)
    commands = {}
    for name, command in group.commands.items():
        commands |= {name: command} if not hasattr(command, "commands") else command.commands
    assert len(commands) == 23
    lasting = {"serve", "worker"}
    for name, command in commands.items():
        assert "Example" in (command.help or ""), name
        assert name in lasting or any("--json" in option.opts for option in command.params), name


def test_help_is_fast_because_nothing_heavy_is_imported() -> None:
    heavy = "import llmflow.cli.main, sys; print(*{'kiwipiepy', 'pymilvus', 'numpy', 'pydantic_settings', 'sqlalchemy',"
    heavy += " 'presidio_analyzer', 'langfuse', 'httpx'} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", heavy], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == ""
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        shown = subprocess.run([sys.executable, "-m", "llmflow.cli.main", "--help"], capture_output=True, text=True)
        seconds.append(time.perf_counter() - started)
        assert "train-embedder" in shown.stdout
    assert min(seconds) < 2  # 0.4 s on an idle machine
