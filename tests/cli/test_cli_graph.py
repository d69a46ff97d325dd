"""`llmflow graph`: shown beside a process that holds the stores, and made anew."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from command_line import Ran, run

from llmflow.runtime import Runtime
from llmflow.settings import load_settings


def test_before_anything_is_ingested(place: Path) -> None:
    ran = run("graph", "show", "연차휴가")
    assert ran.code == 1
    assert "there is no graph" in ran.err
    assert "ingest documents" in ran.err


def test_show_an_entity(ingested: Ran) -> None:
    shown = run("graph", "show", "휴가규정 제4조", "--json").json
    assert shown["name"] == "휴가규정 제4조"
    assert shown["types"] == ["article"]
    assert [row["document_name"] for row in shown["about"]] == ["휴가규정.md"]
    table = run("graph", "show", "working-from HOME")
    assert table.code == 0
    assert "Working from home (subject)" in table.out
    assert "handbook.md" in table.out


def test_an_unknown_entity_and_a_wrong_number_of_hops(ingested: Ran) -> None:
    ran = run("graph", "show", "home", "--json")
    assert ran.code == 1
    assert "it has Working from home" in ran.json["error"]["message"]
    assert run("graph", "show", "home", "--hops", 3).code == 2


def test_it_is_shown_while_another_process_would_hold_the_stores(ingested: Ran) -> None:
    assert run("graph", "rebuild").code == 0
    code = "from llmflow.cli.main import main; raise SystemExit(main(['graph', 'show', '연차휴가']))"
    with Runtime(load_settings()) as runtime:
        assert runtime.linker
        ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
        assert ran.returncode == 0, ran.stderr
        assert "휴가규정.md" in ran.stdout
        assert run("graph", "rebuild").code == 1


def test_rebuild_and_departments(ingested: Ran) -> None:
    rebuilt = run("graph", "rebuild", "--json").json
    assert rebuilt["documents"] == 3
    assert rebuilt["warnings"] == {}
    assert "3 documents in" in run("graph", "rebuild").out
    assert run("graph", "show", "휴가규정", "--department", "elsewhere").code == 1


def test_help_has_examples() -> None:
    assert "llmflow graph show" in run("graph", "show", "--help").out
    assert "llmflow graph rebuild" in run("graph", "rebuild", "--help").out
