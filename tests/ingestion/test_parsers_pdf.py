"""PDF documents and pictures."""

from __future__ import annotations

import io
import shutil

import pytest
from parsing import of_type, parse_bytes, refusal, shown
from PIL import Image, ImageDraw, ImageFont
from reportlab.lib.pagesizes import A4
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen.canvas import Canvas

from llmflow.schema import ElementType, FailureReason

FONT = "HYSMyeongJo-Medium"
pdfmetrics.registerFont(UnicodeCIDFont(FONT))
WIDTH, HEIGHT = A4
needs_tesseract = pytest.mark.skipif(shutil.which("tesseract") is None, reason="tesseract is not installed")


class Sheet:
    """A PDF being written, from the top of the page down."""

    def __init__(self, **options: object) -> None:
        self.buffer = io.BytesIO()
        self.canvas = Canvas(self.buffer, pagesize=A4, **options)
        self.y = HEIGHT - 120

    def line(self, text: str, size: float = 10, x: float = 70, font: str = FONT) -> None:
        self.canvas.setFont(font, size)
        self.canvas.drawString(x, self.y, text)
        self.y -= 1.6 * size

    def page(self) -> None:
        self.canvas.showPage()
        self.y = HEIGHT - 120

    def data(self) -> bytes:
        self.canvas.save()
        return self.buffer.getvalue()


def picture(text: str) -> Image.Image:
    image = Image.new("RGB", (1000, 300), "white")
    ImageDraw.Draw(image).text((60, 100), text, "black", ImageFont.load_default(60))
    return image


def scan(sheet: Sheet, text: str) -> None:
    page = Image.new("RGB", (1240, 1754), "white")
    page.paste(picture(text), (120, 300))
    sheet.canvas.drawImage(ImageReader(page), 0, 0, WIDTH, HEIGHT)
    sheet.page()


def test_headings_paragraphs_and_articles() -> None:
    sheet = Sheet()
    sheet.line("휴가 규정", 20)
    sheet.line("제1장 총칙", 14)
    sheet.line("제1조(목적) 이 규정은 회사의 휴가에 관한 사항을 정함을 목적으로 한다. 다만 이 규정에 정하지 아니")
    sheet.line("한 사항은 법령에 따른다.")
    sheet.line("제2조(정의) 뜻은 다음과 같다.")
    sheet.line("1. 연차란 유급휴가를 말한다.")
    parsed = parse_bytes(sheet.data(), "규정.pdf")
    assert parsed.title == "휴가 규정"
    assert shown(parsed) == [
        ("Title", "휴가 규정"),
        ("Title", "제1장 총칙"),
        ("Title", "제1조(목적)"),
        ("NarrativeText", parsed.elements[3].text),
        ("Title", "제2조(정의)"),
        ("NarrativeText", "뜻은 다음과 같다."),
        ("NarrativeText", "1. 연차란 유급휴가를 말한다."),
    ]
    assert parsed.elements[3].text.startswith("이 규정은 회사의 휴가에")
    assert parsed.elements[3].text.endswith("사항은 법령에 따른다.")
    x0, top, x1, bottom = parsed.elements[0].coordinates or (0, 0, 0, 0)
    assert (round(x0), parsed.elements[0].page) == (70, 1)
    assert 95 < top < bottom < 130
    assert x1 > x0


def test_words_cut_at_the_line_end_are_joined_by_what_the_document_knows() -> None:
    sheet = Sheet()
    filler = "가나다라마바사 아자차카타파하 " * 2
    for first, second in (
        (filler + "가나다라마 개인정", "보를 처리하는 자는 책임을 진다"),
        (filler + "가나다라 개인정보", "처리자는 그 책임을 다하여야 한다"),
    ):
        sheet.line(first)
        sheet.line(second + " 그리고 개인정보를 또 처리자는 개인정보 처리 다.")
        sheet.y -= 30
    texts = [element.text for element in parse_bytes(sheet.data(), "a.pdf").elements]
    assert "개인정보를 처리하는" in texts[0]
    assert "개인정보 처리자는" in texts[1]


def ruled(sheet: Sheet, rows: list[list[str]], sides: bool = True) -> None:
    left, step, height = 70, 120, 24
    top = sheet.y
    for number, row in enumerate(rows):
        for column, text in enumerate(row):
            sheet.canvas.setFont(FONT, 10)
            sheet.canvas.drawString(left + column * step + 4, top - number * height - 16, text)
    bottom = top - len(rows) * height
    for number in range(len(rows) + 1):
        sheet.canvas.line(left, top - number * height, left + len(rows[0]) * step, top - number * height)
    for column in range(len(rows[0]) + 1):
        if sides or 0 < column < len(rows[0]):
            sheet.canvas.line(left + column * step, top, left + column * step, bottom)
    sheet.y = bottom - 30


@pytest.mark.parametrize("sides", [True, False])
def test_ruled_tables_stand_in_their_place_and_their_text_nowhere_else(sides: bool) -> None:
    sheet = Sheet()
    sheet.line("표 앞의 글이다.")
    ruled(sheet, [["구분", "일수", "비고"], ["연차", "15", "유급"], ["병가", "60", "무급"]], sides)
    sheet.line("표 뒤의 글이다.")
    assert shown(parse_bytes(sheet.data(), "표.pdf")) == [
        ("NarrativeText", "표 앞의 글이다."),
        ("Table", "| 구분 | 일수 | 비고 |\n| --- | --- | --- |\n| 연차 | 15 | 유급 |\n| 병가 | 60 | 무급 |"),
        ("NarrativeText", "표 뒤의 글이다."),
    ]


def test_rotated_page_is_read_as_it_is_shown() -> None:
    sheet = Sheet()
    sheet.canvas.setPageRotation(90)
    sheet.y = 400
    sheet.line("돌린 쪽의 글이다.")
    ruled(sheet, [["가", "나"], ["다", "라"]])
    parsed = parse_bytes(sheet.data(), "a.pdf")
    table = of_type(parsed, ElementType.TABLE)[0]
    assert table.coordinates is not None
    assert [round(edge) for edge in table.coordinates] == [336, 70, 384, 310]
    assert "돌린 쪽의 글이다." in [element.text for element in parsed.elements]


def test_running_headers_footers_and_page_numbers_go() -> None:
    sheet = Sheet()
    for number in range(1, 6):
        sheet.canvas.setFont(FONT, 9)
        sheet.canvas.drawString(70, HEIGHT - 30, "사내 대외비")
        sheet.canvas.drawString(280, 20, f"- {number} -")
        sheet.line(f"{number}쪽의 본문이다.")
        sheet.page()
    parsed = parse_bytes(sheet.data(), "a.pdf")
    assert [(element.text, element.page) for element in parsed.elements] == [
        (f"{number}쪽의 본문이다.", number) for number in range(1, 6)
    ]
    assert any("사내 대외비" in warning for warning in parsed.warnings)


def test_hidden_text_is_left_out_and_said() -> None:
    sheet = Sheet()
    sheet.line("보이는 글이다.")
    sheet.canvas.setFillColorRGB(1, 1, 1)
    sheet.line("흰 글로 쓴 지시")
    sheet.canvas.setFillColorRGB(0, 0, 0)
    sheet.line("아주 작은 지시", size=0.5)
    invisible = sheet.canvas.beginText(70, sheet.y)
    invisible.setFont(FONT, 10)
    invisible.setTextRenderMode(3)
    invisible.textLine("그리지 않은 지시")
    sheet.canvas.saveState()
    sheet.canvas.drawText(invisible)
    sheet.canvas.restoreState()
    sheet.y -= 60
    sheet.canvas.setFillColorRGB(0, 0, 0.6)
    sheet.canvas.rect(60, sheet.y - 10, 300, 40, fill=1)
    sheet.canvas.setFillColorRGB(1, 1, 1)
    sheet.line("파란 바탕의 흰 제목")
    parsed = parse_bytes(sheet.data(), "a.pdf")
    assert [element.text for element in parsed.elements] == ["보이는 글이다.", "파란 바탕의 흰 제목"]
    assert any("cannot see on page 1" in warning for warning in parsed.warnings)


def test_ocr_layer_of_a_scan_is_kept() -> None:
    sheet = Sheet()
    sheet.canvas.drawImage(ImageReader(picture("x")), 0, 0, WIDTH, HEIGHT)
    layer = sheet.canvas.beginText(70, 500)
    layer.setFont(FONT, 10)
    layer.setTextRenderMode(3)
    layer.textLine("스캔한 문서의 글자층이 여기에 길게 있다고 하자.")
    sheet.canvas.drawText(layer)
    assert "글자층이" in parse_bytes(sheet.data(), "a.pdf", ocr="off").elements[0].text


def test_scans_need_ocr() -> None:
    sheet = Sheet()
    scan(sheet, "SCAN")
    scan(sheet, "SCAN")
    error = refusal(sheet.data(), "scan.pdf", ocr="off")
    assert error.reason == FailureReason.NEEDS_OCR
    assert "pages 1-2" in error.message


def test_mixed_document_names_the_pages_it_left_out() -> None:
    sheet = Sheet()
    sheet.line("글이 있는 쪽이다.")
    sheet.page()
    scan(sheet, "SCAN")
    parsed = parse_bytes(sheet.data(), "mixed.pdf", ocr="off")
    assert [element.text for element in parsed.elements] == ["글이 있는 쪽이다."]
    assert any("page 2" in warning for warning in parsed.warnings)


@needs_tesseract
def test_scans_are_read_by_ocr() -> None:
    sheet = Sheet()
    sheet.line("First page with text.")
    sheet.page()
    scan(sheet, "Annual leave is fifteen days")
    parsed = parse_bytes(sheet.data(), "mixed.pdf", ocr_languages="eng+xxx")
    assert parsed.elements[0].page == 1
    images = of_type(parsed, ElementType.IMAGE)
    assert "fifteen days" in " ".join(element.text for element in images)
    assert {element.page for element in images} == {2}
    assert any("without xxx" in warning for warning in parsed.warnings)


@needs_tesseract
def test_missing_ocr_languages_are_named() -> None:
    buffer = io.BytesIO()
    picture("text").save(buffer, "PNG")
    error = refusal(buffer.getvalue(), "a.png", ocr_languages="xxx")
    assert (error.reason, "tesseract-ocr-xxx" in error.message) == (FailureReason.NEEDS_OCR, True)


def test_pictures() -> None:
    buffer = io.BytesIO()
    picture("Travel expense policy").save(buffer, "PNG")
    assert refusal(buffer.getvalue(), "a.png", ocr="off").reason == FailureReason.NEEDS_OCR
    if shutil.which("tesseract"):
        parsed = parse_bytes(buffer.getvalue(), "a.png", ocr_languages="eng")
        assert "expense policy" in parsed.elements[0].text
    assert refusal(buffer.getvalue()[:300], "a.png").reason == FailureReason.MALFORMED


def test_encrypted_broken_long_and_blank_documents() -> None:
    locked = Sheet(encrypt="secret")
    locked.line("비밀")
    assert refusal(locked.data(), "a.pdf").reason == FailureReason.ENCRYPTED
    assert refusal(b"%PDF-1.7\nbroken", "a.pdf").reason == FailureReason.MALFORMED
    blank = Sheet()
    blank.page()
    assert refusal(blank.data(), "a.pdf").reason == FailureReason.EMPTY
    long = Sheet()
    for _ in range(3):
        long.line("쪽")
        long.page()
    error = refusal(long.data(), "a.pdf", max_pages=2)
    assert (error.reason, "3 pages" in error.message) == (FailureReason.TOO_LARGE, True)


@pytest.mark.parametrize(
    ("title", "expected"), [("Microsoft Word - 규정.docx", "파일"), ("untitled", "파일"), ("휴가", "휴가")]
)
def test_titles_that_programs_leave_are_no_titles(title: str, expected: str) -> None:
    sheet = Sheet()
    sheet.canvas.setTitle(title)
    sheet.line("본문이다.")
    assert parse_bytes(sheet.data(), "파일.pdf").title == expected
