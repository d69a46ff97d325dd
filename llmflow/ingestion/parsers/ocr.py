"""Text from pictures, by tesseract where it is installed."""

from __future__ import annotations

import csv
import io
import os
import shutil
import subprocess
from collections.abc import Iterator
from itertools import groupby

from PIL import Image

from llmflow.schema import Element, ElementType
from llmflow.settings import ParsingSettings

INSTALL = "install tesseract (Debian: apt-get install tesseract-ocr tesseract-ocr-kor) and ingest it again"
SWITCH_ON = "set parsing.ocr to auto and ingest it again"
_MIN_CONFIDENCE = 30.0
_POINTS_PER_INCH = 72


class Ocr:
    """Tesseract with the wanted languages that are installed; ``remedy`` says why there is none."""

    def __init__(self, settings: ParsingSettings) -> None:
        self.remedy: str | None = None
        self.warning: str | None = None
        self._languages = ""
        if settings.ocr == "off":
            self.remedy = SWITCH_ON
        elif shutil.which("tesseract") is None:
            self.remedy = INSTALL
        else:
            self._choose(settings.ocr_languages.split("+"))

    def _choose(self, wanted: list[str]) -> None:
        installed = _tesseract("--list-langs").split()
        usable = [language for language in wanted if language in installed]
        missing = [language for language in wanted if language not in installed]
        packages = " ".join(f"tesseract-ocr-{language}" for language in missing)
        if not usable:
            self.remedy = f"install the tesseract languages {'+'.join(missing)} (Debian: apt-get install {packages})"
        elif missing:
            self.warning = f"read by OCR without {'+'.join(missing)} (Debian: apt-get install {packages})"
        self._languages = "+".join(usable)
        self._mode = ("--psm", "1" if "osd" in installed else "3")

    def read(self, picture: Image.Image, page: int, dpi: float) -> Iterator[Element]:
        """Paragraphs of ``picture``, turned upright if it lies on its side."""
        buffer = io.BytesIO()
        picture.save(buffer, "PNG", compress_level=1)
        options = ("-l", self._languages, *self._mode, "--dpi", str(round(dpi)))
        table = _tesseract("-", "-", *options, "tsv", picture=buffer.getvalue())
        rows = csv.DictReader(io.StringIO(table), delimiter="\t", quoting=csv.QUOTE_NONE)
        words = [row for row in rows if (row["text"] or "").strip() and float(row["conf"]) >= 0]
        scale = _POINTS_PER_INCH / dpi
        for _, group in groupby(words, key=lambda row: (row["block_num"], row["par_num"])):
            members = list(group)
            if sum(float(row["conf"]) for row in members) / len(members) < _MIN_CONFIDENCE:
                continue
            left, top = (min(int(row[edge]) for row in members) for edge in ("left", "top"))
            right = max(int(row["left"]) + int(row["width"]) for row in members)
            bottom = max(int(row["top"]) + int(row["height"]) for row in members)
            box = (left * scale, top * scale, right * scale, bottom * scale)
            yield Element(ElementType.IMAGE, " ".join(row["text"] for row in members), page, box)


def _tesseract(*arguments: str, picture: bytes | None = None) -> str:
    # One thread a page: documents, not threads, are what runs side by side. Picture and
    # text go through pipes, so a killed parse leaves no files behind.
    result = subprocess.run(
        ["tesseract", *arguments],
        input=picture,
        capture_output=True,
        check=True,
        env={**os.environ, "OMP_THREAD_LIMIT": "1"},
    )
    return result.stdout.decode("utf-8", "replace")
