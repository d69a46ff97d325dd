from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from evaluation.tables import Table, machine, replace_section
from llmflow.errors import InvalidInputError

TABLE = Table("Quality", ("system", "one"), (("LLMFlow", "0.500"), ("other", "–")))


def test_a_table_as_markdown_and_for_the_terminal() -> None:
    assert TABLE.markdown() == ("**Quality**\n\n| system | one |\n| --- | ---: |\n| LLMFlow | 0.500 |\n| other | – |")
    shown = io.StringIO()
    Console(file=shown, width=80).print(TABLE.rich())
    assert "Quality" in shown.getvalue()
    assert "0.500" in shown.getvalue()


def test_a_section_is_replaced_and_the_rest_kept(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# 제목\n\nBy hand.\n\n<!-- speed:begin -->\nold\n<!-- speed:end -->\n\n"
        "<!-- cost:begin -->kept<!-- cost:end -->\n",
        encoding="utf-8",
    )
    replace_section(page, "speed", ["first", "second"])
    replace_section(page, "speed", [TABLE.markdown()])
    assert page.read_text(encoding="utf-8") == (
        f"# 제목\n\nBy hand.\n\n<!-- speed:begin -->\n\n{TABLE.markdown()}\n\n<!-- speed:end -->\n\n"
        "<!-- cost:begin -->kept<!-- cost:end -->\n"
    )


@pytest.mark.parametrize(
    "text",
    [
        "no markers",
        "<!-- speed:begin -->",
        "<!-- speed:end --> <!-- speed:begin -->",
        "<!-- speed:begin --> <!-- speed:begin --> <!-- speed:end -->",
    ],
)
def test_a_page_without_both_markers_is_left_alone(tmp_path: Path, text: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidInputError, match="speed:begin"):
        replace_section(page, "speed", ["new"])
    assert page.read_text(encoding="utf-8") == text


def test_the_machine_is_named() -> None:
    assert " cores, " in machine()
    assert "Python 3." in machine()
