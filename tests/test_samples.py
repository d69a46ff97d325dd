"""The sample documents are what samples/build.py makes, and hold what the questions ask."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from llmflow.ingestion.sandbox import parse
from llmflow.schema import ElementType, ParsedDocument
from llmflow.settings import ParsingSettings

SAMPLES = Path(__file__).parents[1] / "samples"
DOCUMENTS = SAMPLES / "documents"
QUESTIONS: list[dict[str, Any]] = [
    json.loads(line) for line in (SAMPLES / "questions.jsonl").read_text(encoding="utf-8").splitlines()
]
ANSWERABLE = [question for question in QUESTIONS if question["source"]]
FONTS = Path("/usr/share/fonts/truetype/nanum/NanumGothic.ttf")


@cache
def parsed(name: str) -> ParsedDocument:
    return parse(DOCUMENTS / name, ParsingSettings(ocr="off"))


def text(name: str, page: int | None = None) -> str:
    elements = parsed(name).elements
    return "\n".join(element.text for element in elements if page is None or element.page == page)


@pytest.mark.parametrize("question", ANSWERABLE, ids=lambda question: question["question"])
def test_answer_is_on_the_named_page(question: dict[str, Any]) -> None:
    passage = text(question["source"], question["page"])
    assert any(expected in passage for expected in question["answer_contains"])


def test_questions_without_source_expect_nothing() -> None:
    unanswerable = [question for question in QUESTIONS if not question["source"]]
    assert {question["language"] for question in unanswerable} == {"ko", "en"}
    assert all(question["answer_contains"] == [] and question["page"] is None for question in unanswerable)


def test_every_document_is_described_and_parsed_whole() -> None:
    readme = (SAMPLES / "README.md").read_text(encoding="utf-8")
    for path in DOCUMENTS.iterdir():
        assert f"`{path.name}`" in readme
        assert len(text(path.name)) > 300, path.name
        lost = [warning for warning in parsed(path.name).warnings if "running headers and footers" not in warning]
        assert not lost, path.name


def test_ruled_table_of_the_leave_policy_is_one_table() -> None:
    tables = [element.text for element in parsed("휴가규정.pdf").elements if element.type is ElementType.TABLE]
    years = next(table for table in tables if "근속연수" in table)
    assert years.splitlines()[0].replace(" ", "") == "|근속연수|연차일수|"
    assert len(years.splitlines()) == 13
    assert "| 21년 이상 | 25일 |" in years


@pytest.fixture(scope="module")
def rebuilt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not FONTS.is_file():
        pytest.skip("rebuilding needs the Nanum fonts (Debian: fonts-nanum)")
    folder = tmp_path_factory.mktemp("samples")
    subprocess.run([sys.executable, SAMPLES / "build.py", folder], check=True)
    return folder


def test_built_documents_are_current(rebuilt: Path) -> None:
    # Members, not bytes: another zlib compresses differently.
    names = [path.name for path in rebuilt.iterdir()]
    assert len(names) == 8
    for name in names:
        if zipfile.is_zipfile(rebuilt / name):
            assert members(rebuilt / name) == members(DOCUMENTS / name), f"{name}: run `make samples`"
    assert (rebuilt / "공지_하반기_제도변경.eml").read_bytes() == (DOCUMENTS / "공지_하반기_제도변경.eml").read_bytes()
    for name in ("휴가규정.pdf", "employee_handbook.pdf"):
        elements = parse(rebuilt / name, ParsingSettings(ocr="off")).elements
        assert elements == parsed(name).elements, f"{name}: run `make samples`"


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}
