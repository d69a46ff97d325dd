"""Chunks of ordinary documents."""

from __future__ import annotations

import random
import re
from itertools import pairwise

import pytest

from llmflow.ingestion.chunking import chunk_document
from llmflow.korean import count_tokens
from llmflow.schema import Chunk, Element, ElementType, ParsedDocument
from llmflow.settings import ChunkingSettings

SMALL = ChunkingSettings(max_tokens=60, overlap_tokens=15)


def title(text: str, level: int = 1, page: int | None = None) -> Element:
    return Element(ElementType.TITLE, text, page, level=level)


def text(text: str, page: int | None = None) -> Element:
    return Element(ElementType.NARRATIVE_TEXT, text, page)


def item(text: str, page: int | None = None) -> Element:
    return Element(ElementType.LIST_ITEM, text, page)


def table(rows: list[list[str]], page: int | None = None) -> Element:
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    lines.insert(1, "|" + " --- |" * len(rows[0]))
    return Element(ElementType.TABLE, "\n".join(lines), page)


def chunks_of(*elements: Element, settings: ChunkingSettings | None = None, name: str = "Handbook") -> list[Chunk]:
    return chunk_document(
        ParsedDocument(name, "text/plain", elements),
        settings or ChunkingSettings(),
        document_id="d" * 32,
        tenant="acme",
        department="hr",
        document_name="handbook.pdf",
    )


def sentence(number: int) -> str:
    return f"Sentence number {number} says that every colleague keeps receipts."


def long_paragraph(count: int) -> str:
    return " ".join(sentence(number) for number in range(count))


def test_a_title_joins_its_text_and_outer_titles_go_to_the_path() -> None:
    body = "Keep every receipt above thirty thousand won and hand it in within five business days. " * 4
    chunks = chunks_of(title("Handbook"), title("4 Money", 2), title("4.1 Receipts", 3), text(body))
    assert [chunk.text for chunk in chunks] == [f"4.1 Receipts\n{body.strip()}"]
    assert chunks[0].section_path == ("4 Money", "4.1 Receipts")
    assert (chunks[0].title, chunks[0].document_name) == ("Handbook", "handbook.pdf")
    assert (chunks[0].tenant, chunks[0].department, chunks[0].article) == ("acme", "hr", None)


def test_a_title_of_the_same_level_starts_a_new_chunk() -> None:
    chunks = chunks_of(
        title("One", 2),
        text(long_paragraph(5)),
        title("Deeper", 3),
        text(long_paragraph(6)),
        title("Two", 2),
        text("x"),
    )
    assert [chunk.section_path for chunk in chunks] == [("One",), ("One", "Deeper"), ("Two",)]


def test_tiny_sections_join_their_next_sibling_only() -> None:
    chunks = chunks_of(
        title("Contacts", 1),
        title("Phone", 2),
        text("Call 2100."),
        title("Mail", 2),
        text("Write to HR. " * 15),
        title("Fax", 2),
        text("None."),
        title("Rules", 1),
        text("Be kind."),
    )
    assert [chunk.text.split("\n")[0] for chunk in chunks] == ["Phone", "Fax", "Rules"]
    assert "\n\nMail\n" in chunks[0].text
    assert chunks[0].section_path == ("Contacts",)


def test_small_paragraphs_and_list_items_fill_one_chunk() -> None:
    chunks = chunks_of(title("Desk"), text("Before you leave:"), item("lock the screen"), item("close the window"))
    assert [chunk.text for chunk in chunks] == ["Desk\nBefore you leave:\n\nlock the screen\nclose the window"]


def test_a_long_section_overlaps_by_whole_sentences() -> None:
    chunks = chunks_of(title("Money"), text(long_paragraph(20)), settings=SMALL)
    assert len(chunks) > 2
    sentences = [re.findall(r"Sentence number \d+[^.]*\.", chunk.text) for chunk in chunks]
    for before, after in pairwise(sentences):
        assert after[0] == before[-1]
    assert {line for found in sentences for line in found} == {sentence(number) for number in range(20)}
    assert all(chunk.text.startswith("Money\nSentence") for chunk in chunks)
    assert all(count_tokens(chunk.text) <= 60 for chunk in chunks)


def test_no_overlap_when_it_is_turned_off() -> None:
    chunks = chunks_of(text(long_paragraph(20)), settings=ChunkingSettings(max_tokens=60, overlap_tokens=0))
    assert " ".join(chunk.text for chunk in chunks) == long_paragraph(20)


def test_korean_paragraphs_are_cut_at_sentences() -> None:
    korean = " ".join(f"직원은 {number}번 양식을 매월 말일까지 재무팀에 제출하여야 합니다." for number in range(12))
    chunks = chunks_of(text(korean), settings=SMALL)
    assert len(chunks) > 2
    assert all(chunk.text.startswith("직원은") and chunk.text.endswith("합니다.") for chunk in chunks)


def test_a_giant_word_is_cut_and_nothing_is_lost() -> None:
    blob = "".join(random.Random(1).choices("abcdefghijklmnopqrstuvwxyz", k=5000))
    chunks = chunks_of(text(blob), settings=SMALL)
    assert "".join(chunk.text for chunk in chunks) == blob
    assert max(count_tokens(chunk.text) for chunk in chunks) <= 60


def test_a_table_is_its_own_chunk_after_its_caption() -> None:
    chunks = chunks_of(
        title("Travel"),
        text(long_paragraph(4)),
        text("Table 2. Allowances"),
        table([["Item", "Limit"], ["Hotel", "120"]]),
        text("Ask first."),
    )
    assert [chunk.element_type for chunk in chunks] == [ElementType.NARRATIVE_TEXT, ElementType.TABLE]
    assert chunks[1].text == "Travel\nTable 2. Allowances\n| Item | Limit |\n| --- | --- |\n| Hotel | 120 |"
    assert chunks[0].text.endswith("Ask first.")
    assert "Table 2" not in chunks[0].text


def test_a_table_without_caption_repeats_the_sentence_before_it() -> None:
    chunks = chunks_of(title("Travel"), text(long_paragraph(6)), table([["Item", "Limit"], ["Hotel", "120"]]))
    assert chunks[1].text.startswith("Travel\nSentence number")
    assert "Sentence number 5 " in chunks[1].text
    assert "Sentence number 0 " not in chunks[1].text


def test_a_tiny_introduction_joins_its_table() -> None:
    chunks = chunks_of(title("Travel"), text("These limits hold."), table([["Item", "Limit"], ["Hotel", "120"]]))
    assert [chunk.text.split("\n")[:2] for chunk in chunks] == [["Travel", "These limits hold."]]
    assert chunks[0].element_type is ElementType.TABLE


def test_a_large_table_is_cut_at_rows_under_its_header() -> None:
    rows = [["Code", "Thing"], *([f"N-{number}", f"thing number {number}"] for number in range(40))]
    chunks = chunks_of(title("Prices"), table(rows), settings=SMALL)
    assert len(chunks) > 3
    found: list[str] = []
    for chunk in chunks:
        lines = chunk.text.split("\n")
        assert lines[:3] == ["Prices", "| Code | Thing |", "| --- | --- |"]
        assert count_tokens(chunk.text) <= 60
        found += lines[3:]
    assert found == [f"| N-{number} | thing number {number} |" for number in range(40)]


def test_a_giant_row_is_cut_at_cells_and_sentences() -> None:
    rows = [["Key", "Text", "Note"], ["K1", long_paragraph(12), "the end"], ["K2", "short", "last"]]
    chunks = chunks_of(table(rows), settings=SMALL)
    rows_found = [line for chunk in chunks for line in chunk.text.split("\n")[2:]]
    assert all(line.count("|") == 4 for line in rows_found)
    assert sum(line.startswith("| K1 |") for line in rows_found) > 2
    joined = " ".join(rows_found)
    assert all(joined.count(sentence(number)) == 1 for number in range(12))
    assert "the end" in joined
    assert rows_found[-1] == "| K2 | short | last |"
    assert all(count_tokens(chunk.text) <= 66 for chunk in chunks)


def test_a_drawn_table_becomes_a_table() -> None:
    drawn = [
        "┌───┬───┐",
        "│구분 │비율 │",
        "├───┼───┤",
        "│처음 │10 │",
        "│신고 │ │",
        "├───┼───┤",
        "│두번 │20 │",
        "└───┴───┘",
    ]
    chunks = chunks_of(title("벌점"), *(text(line) for line in drawn))
    assert [chunk.text for chunk in chunks] == [
        "벌점\n| 구분 | 비율 |\n| --- | --- |\n| 처음 신고 | 10 |\n| 두번 | 20 |"
    ]


def test_text_of_a_picture_is_its_own_chunk() -> None:
    picture = Element(ElementType.IMAGE, "VPN -> gateway", 3)
    chunks = chunks_of(title("Network", page=3), text("See the picture.", 3), picture, text("That is all.", 3))
    assert [(chunk.element_type, chunk.text) for chunk in chunks] == [
        (ElementType.NARRATIVE_TEXT, "Network\nSee the picture.\n\nThat is all."),
        (ElementType.IMAGE, "Network\nVPN -> gateway"),
    ]


def test_a_lone_title_at_the_end_is_kept() -> None:
    chunks = chunks_of(title("Body"), text(long_paragraph(9)), title("The end"))
    assert (chunks[-1].text, chunks[-1].element_type) == ("The end", ElementType.TITLE)


def test_pages_break_a_chunk_that_is_half_full() -> None:
    settings = ChunkingSettings(max_tokens=60, overlap_tokens=0)
    chunks = chunks_of(
        title("Money", page=1), text(long_paragraph(4), 1), text("A new page begins here.", 2), settings=settings
    )
    assert [chunk.page for chunk in chunks] == [1, 2]
    assert chunks[1].text == "Money\nA new page begins here."


def test_a_sentence_that_runs_over_the_page_stays_together() -> None:
    settings = ChunkingSettings(max_tokens=80, overlap_tokens=0)
    chunks = chunks_of(text(long_paragraph(4) + " It runs", 1), text("on and ends here.", 2), settings=settings)
    assert [chunk.page for chunk in chunks] == [1]
    assert chunks[0].text.endswith("It runs on and ends here.")


def test_tiny_text_never_joins_another_page() -> None:
    chunks = chunks_of(title("Slide one", page=1), text("Hello.", 1), title("Slide two", page=2), text("World.", 2))
    assert [(chunk.page, chunk.text) for chunk in chunks] == [(1, "Slide one\nHello."), (2, "Slide two\nWorld.")]


def test_exact_repetitions_are_dropped() -> None:
    notice = text(long_paragraph(6))
    chunks = chunks_of(title("Notice"), notice, title("Notice"), notice, title("Other"), notice)
    assert [chunk.section_path for chunk in chunks] == [("Notice",), ("Other",)]
    assert [chunk.ordinal for chunk in chunks] == [0, 1]


def test_ids_depend_on_document_position_and_text_only() -> None:
    elements = (title("Money"), text(long_paragraph(20)))
    first = chunks_of(*elements, settings=SMALL)
    assert [chunk.id for chunk in first] == [chunk.id for chunk in chunks_of(*elements, settings=SMALL)]
    assert len({chunk.id for chunk in first}) == len(first)
    assert all(re.fullmatch(r"[0-9a-f]{32}", chunk.id) for chunk in first)
    other = chunk_document(
        ParsedDocument("Handbook", "text/plain", elements),
        SMALL,
        document_id="e" * 32,
        tenant="acme",
        department="hr",
        document_name="handbook.pdf",
    )
    assert not {chunk.id for chunk in first} & {chunk.id for chunk in other}


def test_a_document_without_elements_has_no_chunks() -> None:
    assert chunks_of() == []


@pytest.mark.parametrize("seed", range(8))
def test_no_word_is_lost_and_no_chunk_is_too_large(seed: int) -> None:
    rng = random.Random(seed)
    words: list[str] = []

    def prose(count: int) -> str:
        new = [f"w{len(words) + number}x" for number in range(count)]
        words.extend(new)
        return " ".join(word + "." * (rng.random() < 0.1) for word in new)

    elements: list[Element] = []
    for page in range(1, 6):
        for _ in range(rng.randrange(1, 6)):
            kind = rng.randrange(5)
            if kind == 0:
                elements.append(title(prose(rng.randrange(1, 5)), rng.randrange(1, 4), page))
            elif kind == 1:
                rows = [[prose(1), prose(1)], *([prose(rng.randrange(1, 60)), prose(1)] for _ in range(5))]
                elements.append(table(rows, page))
            elif kind == 2:
                elements.append(Element(ElementType.IMAGE, prose(rng.randrange(1, 200)), page))
            else:
                elements.append((text if kind == 3 else item)(prose(rng.randrange(1, 200)), page))
    settings = ChunkingSettings(max_tokens=80, overlap_tokens=20)
    chunks = chunks_of(*elements, settings=settings)
    blob = " ".join(" ".join((chunk.text, *chunk.section_path)) for chunk in chunks)
    assert set(words) <= set(re.findall(r"w\d+x", blob))
    for chunk in chunks:
        assert count_tokens(chunk.text) <= 80 * 1.1
        assert chunk.text == chunk.text.strip()
        assert not re.search(r"[ \t]\n|\n{3}", chunk.text)
