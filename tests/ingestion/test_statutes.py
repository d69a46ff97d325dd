"""Chunks of statutes and company rules."""

from __future__ import annotations

import gzip
import json
import os
import re
import unicodedata
from collections import defaultdict
from pathlib import Path

import pytest

from llmflow.ingestion.chunking import chunk_document
from llmflow.ingestion.parsers import parse_source
from llmflow.ingestion.parsers.base import Source
from llmflow.ingestion.statutes import HeadReader, says_nothing, without_marks
from llmflow.korean import count_tokens
from llmflow.schema import Chunk, Element, ElementType, ParsedDocument
from llmflow.settings import ChunkingSettings, ParsingSettings


def chunks_of(parsed: ParsedDocument, settings: ChunkingSettings | None = None) -> list[Chunk]:
    return chunk_document(
        parsed,
        settings or ChunkingSettings(),
        document_id="d" * 32,
        tenant="acme",
        department="legal",
        document_name="law.md",
    )


def law(*lines: str, settings: ChunkingSettings | None = None) -> list[Chunk]:
    elements = tuple(Element(ElementType.NARRATIVE_TEXT, line) for line in lines)
    return chunks_of(ParsedDocument("휴가법", "text/plain", elements), settings)


@pytest.mark.parametrize(
    ("line", "article", "heading"),
    [
        ("제60조(연차 유급휴가)", "제60조", "제60조(연차 유급휴가)"),
        ("제60조의2 (특례)", "제60조의2", "제60조의2(특례)"),
        ("제 3 조 ( 적용범위 )", "제3조", "제3조(적용범위)"),
        ("제1조(목적) 이 규정은 휴가를 정한다.", "제1조", "제1조(목적)"),
        ("제1조【목적】 이 규정은 휴가를 정한다.", "제1조", "제1조(목적)"),
        ("제2조(정의(용어를 포함한다)) 뜻은 다음과 같다.", "제2조", "제2조(정의(용어를 포함한다))"),
        ("제1조 ①대한민국은 민주공화국이다.", "제1조", "제1조"),
        ("제7조(승진)① 승진은 매년 한다.", "제7조", "제7조(승진)"),
    ],
)
def test_article_headings(line: str, article: str, heading: str) -> None:
    head = HeadReader().read(line, is_title=False)
    assert head is not None
    assert (head.article, head.text) == (article, heading)


@pytest.mark.parametrize(
    "line",
    [
        "제60조에 따라 휴가를 준다.",
        "제60조제1항에 따른 휴가",
        "제60조(연차 유급휴가)에 따라 휴가를 준다.",
        "제60조(연차 유급휴가)의 규정은 적용하지 않는다.",
        "제60조(연차 유급휴가) 및 제61조를 적용한다.",
        "제60조(연차 유급휴가) 제1항을 준용한다.",
        "제60조 본문 중 열흘을 보름으로 한다.",
        "제60조를 삭제한다.",
        "제2장 및 제3장에 따른다",
        "제2장의 규정을 적용하지 아니한다.",
        "제1조(목적) ........ 3",
        "부칙 제2조에 따라 시행한다.",
        "별표 1과 같다.",
    ],
)
def test_references_are_no_headings(line: str) -> None:
    assert HeadReader().read(line, is_title=False) is None


def test_an_article_is_a_chunk_with_its_divisions() -> None:
    chunks = law(
        "제1편 총칙",
        "제1장 휴가",
        "제1절 연차",
        "제1조(목적) 이 법은 휴가를 정한다.",
        "제2절 병가",
        "제2조(병가) ① 병가는 60일로 한다. <개정 2014.3.24, 2020.1.1>",
        "② 진단서를 낸다. [전문개정 2014.3.24]",
        "제2장 휴일",
        "제3조(휴일) 제2조에 따른 병가에는 휴일을 넣지 아니한다.\n제4조(준용) 제1조의 규정을 준용한다.",
    )
    assert [(chunk.article, chunk.section_path) for chunk in chunks] == [
        ("제1조", ("제1편 총칙", "제1장 휴가", "제1절 연차", "제1조(목적)")),
        ("제2조", ("제1편 총칙", "제1장 휴가", "제2절 병가", "제2조(병가)")),
        ("제3조", ("제1편 총칙", "제2장 휴일", "제3조(휴일)")),
        ("제4조", ("제1편 총칙", "제2장 휴일", "제4조(준용)")),
    ]
    assert chunks[1].text == "제2조(병가)\n① 병가는 60일로 한다.\n② 진단서를 낸다."


def test_deleted_and_empty_articles_make_no_chunk() -> None:
    chunks = law(
        "제1조(목적) 이 법은 휴가를 정한다.",
        "제2조 삭제 <2010.1.1>",
        "제3조(정의) 삭제 <2010.1.1>",
        "제4조부터 제6조까지 삭제 <2010.1.1>",
        "제7조(빈 조문)",
        "제8조(시행) 공포한 날부터 시행한다.",
    )
    assert [chunk.article for chunk in chunks] == ["제1조", "제8조"]
    assert "삭제" not in "".join(chunk.text for chunk in chunks)


def test_a_long_article_is_cut_at_paragraphs_and_items() -> None:
    items = [f"{number}. {number}번째로 정한 사유에 해당하는 근로자와 그 배우자의 가족" for number in range(1, 12)]
    chunks = law(
        "제5조(특별휴가) ① 회사는 다음 각 호의 사람에게 휴가를 준다.",
        "\n".join(items),
        "② 휴가는 유급으로 한다.",
        settings=ChunkingSettings(max_tokens=80, overlap_tokens=0),
    )
    assert len(chunks) > 2
    for chunk in chunks[:-1]:
        assert chunk.text.startswith("제5조(특별휴가)\n① 회사는 다음 각 호의 사람에게 휴가를 준다.\n")
    assert chunks[-1].text.endswith("② 휴가는 유급으로 한다.")
    assert {chunk.article for chunk in chunks} == {"제5조"}
    assert [line for chunk in chunks for line in chunk.text.split("\n") if line[0].isdecimal()] == items
    assert all(count_tokens(chunk.text) <= 80 for chunk in chunks)


def test_addenda_count_their_own_articles() -> None:
    chunks = law(
        "제1조(목적) 이 법은 휴가를 정한다.",
        "부칙 <제8372호,2007.4.11>",
        "제1조(시행일) 이 법은 공포한 날부터 시행한다.",
        "제2조 및 제3조 생략",
        "제4조(다른 법률의 개정) 근로법 일부를 다음과 같이 개정한다.",
        "제76조의2(괴롭힘의 금지) 사용자는 근로자를 괴롭혀서는 아니 된다.",
        "부칙 <제9000호,2009.1.1>",
        "제1조(시행일) 이 법은 공포한 날부터 시행한다.",
    )
    assert [chunk.article for chunk in chunks] == ["제1조", "부칙 제1조", "부칙 제4조", "부칙 제1조"]
    assert chunks[1].text.startswith("부칙 <제8372호,2007.4.11> 제1조(시행일)\n")
    assert chunks[1].section_path == ("부칙 <제8372호,2007.4.11>", "제1조(시행일)")
    assert "제76조의2" in chunks[2].text


def test_titles_of_a_rule_book_end_the_addenda() -> None:
    def title(text: str, level: int) -> Element:
        return Element(ElementType.TITLE, text, level=level)

    def text(text: str) -> Element:
        return Element(ElementType.NARRATIVE_TEXT, text)

    elements = (
        title("사규집", 1),
        title("휴가 규정", 2),
        title("제1장 총칙", 2),
        title("제1조(목적)", 5),
        text("휴가를 정한다."),
        title("부칙", 2),
        title("제1조(시행일)", 5),
        text("2026년 1월 1일부터 시행한다."),
        title("경비 규정", 2),
        title("제1조(목적)", 5),
        text("경비를 정한다."),
    )
    chunks = chunks_of(ParsedDocument("사규집", "text/plain", elements))
    assert [(chunk.article, chunk.section_path) for chunk in chunks] == [
        ("제1조", ("휴가 규정", "제1장 총칙", "제1조(목적)")),
        ("부칙 제1조", ("휴가 규정", "부칙", "제1조(시행일)")),
        ("제1조", ("경비 규정", "제1조(목적)")),
    ]


def test_names_of_regulations_in_a_rule_book_without_titles() -> None:
    chunks = law(
        "휴가규정",
        "제1장 총칙",
        "제1조(목적) 이 규정은 휴가를 정한다.",
        "제2조(근거) 다음 규정에 따른다.",
        "취업규칙",
        "부칙",
        "1. 이 규정은 2020년 1월 1일부터 시행한다.",
        "[별지 제1호 서식]",
        "위와 같이 신청합니다.",
        "경비규정",
        "<규정 명칭 변경 2013. 1. 1>",
        "제1조(목적) 이 규정은 경비를 정한다.",
    )
    assert [(chunk.article, chunk.section_path) for chunk in chunks if chunk.article] == [
        ("제1조", ("휴가규정", "제1장 총칙", "제1조(목적)")),
        ("제2조", ("휴가규정", "제1장 총칙", "제2조(근거)")),
        ("제1조", ("경비규정", "제1조(목적)")),
    ]
    assert [chunk.section_path for chunk in chunks if not chunk.article] == [
        ("휴가규정", "부칙"),
        ("휴가규정", "[별지 제1호 서식]"),
        ("경비규정",),
    ]


def test_tables_and_annexes_of_a_law() -> None:
    rows = Element(ElementType.TABLE, "| 위반 | 과태료 |\n| --- | --- |\n| 1차 | 100만원 |")
    elements = (
        Element(ElementType.NARRATIVE_TEXT, "제1조(과태료) ① 과태료는 다음 표와 같다."),
        rows,
        Element(ElementType.NARRATIVE_TEXT, "[별표 1] 과태료의 부과기준(제1조 관련)"),
        Element(ElementType.NARRATIVE_TEXT, "1. 일반기준"),
        rows,
    )
    chunks = chunks_of(ParsedDocument("과태료법", "text/plain", elements))
    assert [(chunk.article, chunk.element_type) for chunk in chunks] == [
        ("제1조", ElementType.TABLE),
        (None, ElementType.TABLE),
    ]
    assert chunks[0].text.startswith("제1조(과태료)\n① 과태료는 다음 표와 같다.\n| 위반 | 과태료 |")
    assert chunks[1].text.startswith("[별표 1] 과태료의 부과기준(제1조 관련)\n1. 일반기준\n| 위반 |")


@pytest.mark.parametrize(
    ("marked", "clean"),
    [
        ("정한다. <개정 2014.3.24, 2020.1.1>", "정한다."),
        ("정한다.<신설 1985ㆍ7ㆍ1>", "정한다."),
        ("정한다. [본조신설 2008.3.21]", "정한다."),
        ("정한다. [제4조에서 이동, 종전 제4조는 제5조로 이동 <2010.1.1>]", "정한다."),
        ("<400> 근로법 일부를 개정한다.", "<400> 근로법 일부를 개정한다."),
        ("대가[환매(還買) 등을 포함한다]를 준다.", "대가[환매(還買) 등을 포함한다]를 준다."),
    ],
)
def test_amendment_marks(marked: str, clean: str) -> None:
    assert without_marks(marked) == clean


def _statutes() -> Path:
    root = os.environ.get("LLMFLOW_EVAL_DATA")
    folder = Path(root or ".") / "ko_statutes"
    if not root or not folder.is_dir():
        pytest.skip("set LLMFLOW_EVAL_DATA to a folder with ko_statutes to compare with published statutes")
    return folder


def _squeezed(text: str) -> str:
    return re.sub(r"\s+", "", unicodedata.normalize("NFC", without_marks(text)))


def test_every_article_of_published_statutes_is_found() -> None:
    folder = _statutes()
    wanted: dict[str, dict[str, str]] = defaultdict(dict)
    with gzip.open(folder / "articles.jsonl.gz", "rt", encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            if not says_nothing(without_marks(row["text"])):
                wanted[row["law"]][row["article"]] = _squeezed(row["text"])
    compared = exact = 0
    for path in sorted((folder / "sample_md").glob("*.md")):
        parsed = parse_source(Source(path.read_bytes(), path.name, ParsingSettings()))
        found: dict[str, list[str]] = defaultdict(list)
        for chunk in chunks_of(parsed):
            if chunk.article and not chunk.article.startswith("부칙"):
                body = found[chunk.article]
                # A continued list repeats its opening line.
                body += [line for line in chunk.text.split("\n")[1:] if line not in body]
        assert set(found) == set(wanted[parsed.title]), path.name
        compared += len(found)
        exact += sum(_squeezed("".join(lines)) == wanted[parsed.title][article] for article, lines in found.items())
    assert compared > 400
    assert exact / compared > 0.97
