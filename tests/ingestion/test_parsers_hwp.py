"""HWPX and HWP."""

from __future__ import annotations

import io
import os
import struct
import zipfile
from pathlib import Path

import pytest
from parsing import parse_bytes, refusal, shown

from llmflow.ingestion.parsers import hwp
from llmflow.schema import ElementType, FailureReason

HEAD = '<?xml version="1.0" encoding="UTF-8"?>'
NS = 'xmlns:hp="http://www.hancom.co.kr/hwpml/2011/paragraph" xmlns:hs="http://www.hancom.co.kr/hwpml/2011/section"'
HEADER = f"""{HEAD}<hh:head xmlns:hh="http://www.hancom.co.kr/hwpml/2011/head"><hh:paraPr id="7">
<hh:heading type="OUTLINE" idRef="0" level="0"/></hh:paraPr></hh:head>"""


def p(text: str, style: str = "0") -> str:
    return f'<hp:p paraPrIDRef="{style}"><hp:run>{text}</hp:run></hp:p>'


def cell(row: int, column: int, content: str, rows: int = 1, columns: int = 1) -> str:
    return (
        f'<hp:tc><hp:subList>{content}</hp:subList><hp:cellAddr colAddr="{column}" rowAddr="{row}"/>'
        f'<hp:cellSpan colSpan="{columns}" rowSpan="{rows}"/></hp:tc>'
    )


def t(text: str) -> str:
    return f"<hp:t>{text}</hp:t>"


def hwpx(*sections: str, **members: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("mimetype", "application/hwp+zip")
        archive.writestr("Contents/header.xml", HEADER)
        for number, body in enumerate(sections):
            archive.writestr(f"Contents/section{number}.xml", f"{HEAD}<hs:sec {NS}>{body}</hs:sec>")
        for name, text in members.items():
            archive.writestr(name, text)
    return buffer.getvalue()


NESTED = f"<hp:tbl><hp:tr>{cell(0, 0, p(t('가')))}{cell(0, 1, p(t('나')))}</hp:tr>"
NESTED += f"<hp:tr>{cell(1, 0, p(t('다')))}{cell(1, 1, p(t('라')))}</hp:tr></hp:tbl>"
TABLE = (
    f"<hp:tbl><hp:tr>{cell(0, 0, p(t('구분')), rows=2)}{cell(0, 1, p(t('일수')), columns=2)}</hp:tr>"
    f"<hp:tr>{cell(1, 1, p(t('정규')))}{cell(1, 2, p(t('계약')))}</hp:tr>"
    f"<hp:tr>{cell(2, 0, p(t('1년')))}{cell(2, 1, p(t('15')) + p(t('일')))}{cell(2, 2, p(NESTED))}</hp:tr></hp:tbl>"
)


def test_hwpx_paragraphs_tables_boxes_and_notes() -> None:
    body = (
        p(
            "<hp:ctrl><hp:header><hp:subList>"
            + p(t("머리말"))
            + "</hp:subList></hp:header></hp:ctrl>"
            + t("휴가 규정"),
            "7",
        )
        + p(t("제1조(목적) 첫째 줄<hp:lineBreak/>둘째 줄<hp:tab/>끝"))
        + p(TABLE)
        + p("<hp:rect><hp:drawText><hp:subList>" + p(t("글상자")) + "</hp:subList></hp:drawText></hp:rect>")
        + p(t("본문") + "<hp:ctrl><hp:footNote><hp:subList>" + p(t("각주")) + "</hp:subList></hp:footNote></hp:ctrl>")
    )
    parsed = parse_bytes(hwpx(body, p(t("둘째 구역"))), "휴가.hwpx")
    assert parsed.title == "휴가 규정"
    assert shown(parsed) == [
        ("Title", "휴가 규정"),
        ("Title", "제1조(목적)"),
        ("NarrativeText", "첫째 줄\n둘째 줄 끝"),
        ("Table", "| 구분 | 일수 | 일수 |\n| --- | --- | --- |\n| 구분 | 정규 | 계약 |\n| 1년 | 15 일 | |"),
        ("Table", "| 가 | 나 |\n| --- | --- |\n| 다 | 라 |"),
        ("NarrativeText", "글상자"),
        ("NarrativeText", "본문"),
        ("NarrativeText", "각주"),
        ("NarrativeText", "둘째 구역"),
    ]


def test_numbered_box_is_a_title_and_single_cell_a_paragraph() -> None:
    box = f"<hp:tbl><hp:tr>{cell(0, 0, p(t('2')))}{cell(0, 1, p(t('응시 자격')))}</hp:tr></hp:tbl>"
    frame = f"<hp:tbl><hp:tr>{cell(0, 0, p(t('보도자료')))}</hp:tr></hp:tbl>"
    assert shown(parse_bytes(hwpx(p(box) + p(frame)), "a.hwpx")) == [
        ("Title", "2 응시 자격"),
        ("NarrativeText", "보도자료"),
    ]


def test_encrypted_hwpx() -> None:
    manifest = '<manifest><file-entry full-path="Contents/section0.xml"><encryption-data/></file-entry></manifest>'
    assert refusal(hwpx("\x01\x02", **{"META-INF/manifest.xml": manifest}), "a.hwpx").reason == FailureReason.ENCRYPTED


def test_hwpx_with_document_type_is_refused() -> None:
    evil = f'{HEAD}<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x>&e;</x>'
    error = refusal(hwpx(p(t("본문")), **{"Contents/content.hpf": evil}), "a.hwpx")
    assert error.reason == FailureReason.EXTERNAL_ENTITY


def test_empty_hwpx() -> None:
    assert refusal(hwpx(p("")), "a.hwpx").reason == FailureReason.EMPTY


def record(tag: int, level: int, payload: bytes) -> bytes:
    size = min(len(payload), 0xFFF)
    head = struct.pack("<I", tag | level << 10 | size << 20)
    return head + (struct.pack("<I", len(payload)) if size == 0xFFF else b"") + payload


def paragraph(level: int, text: bytes) -> bytes:
    return record(0x42, level, bytes(10) + b"\0" + bytes(11)) + record(0x43, level + 1, text)


def wide(text: str) -> bytes:
    return text.encode("utf-16-le")


def control(code: int) -> bytes:
    return struct.pack("<8H", code, *[0x4141] * 6, code)


def hwp_cell(level: int, place: tuple[int, int, int, int], text: str) -> bytes:
    row, column, rows, columns = place
    return record(0x48, level, bytes(8) + struct.pack("<4H", column, row, columns, rows)) + paragraph(level, wide(text))


def test_hwp_records_become_paragraphs_and_tables() -> None:
    section = (
        paragraph(0, wide("첫째") + struct.pack("<H", 10) + wide("둘째") + control(9) + wide("끝") + control(2))
        + paragraph(0, control(11))
        + record(0x47, 1, b" lbt" + bytes(40))
        + record(0x4D, 2, bytes(30))
        + hwp_cell(2, (0, 0, 2, 1), "구분")
        + hwp_cell(2, (0, 1, 1, 1), "하나")
        + hwp_cell(2, (1, 1, 1, 1), "둘" * 5000)
        + paragraph(0, wide("뒤"))
    )
    elements = hwp._Reader({}).blocks(hwp._tree(section).children)
    assert [element.type for element in elements] == [
        ElementType.NARRATIVE_TEXT,
        ElementType.TABLE,
        ElementType.NARRATIVE_TEXT,
    ]
    assert elements[0].text == "첫째\n둘째\t끝"
    assert elements[1].text == f"| 구분 | 하나 |\n| --- | --- |\n| 구분 | {'둘' * 5000} |"
    assert elements[2].text == "뒤"


def test_hwp_and_hwpx_of_the_same_document_agree() -> None:
    root = os.environ.get("LLMFLOW_EVAL_DATA")
    folder = Path(root or "", "docs_awkward", "ko")
    if not root or not folder.is_dir():
        pytest.skip("set LLMFLOW_EVAL_DATA to the folder that holds docs_awkward")
    texts = [
        "".join("".join(element.text.split()) for element in parse_bytes(path.read_bytes(), path.name).elements)
        for path in (folder / "hangul5test.hwp", folder / "한글 테스트.hwpx")
    ]
    assert len(texts[0]) > 20_000
    assert texts[0] == texts[1]
