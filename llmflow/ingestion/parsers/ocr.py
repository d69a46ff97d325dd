"""Text from pictures, by tesseract where it is installed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from itertools import groupby

import pytesseract
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
        # One thread a page: pages, not threads, are what runs side by side.
        os.environ["OMP_THREAD_LIMIT"] = "1"
        installed = pytesseract.get_languages(config="")
        usable = [language for language in wanted if language in installed]
        missing = [language for language in wanted if language not in installed]
        packages = " ".join(f"tesseract-ocr-{language}" for language in missing)
        if not usable:
            self.remedy = f"install the tesseract languages {'+'.join(missing)} (Debian: apt-get install {packages})"
        elif missing:
            self.warning = f"read by OCR without {'+'.join(missing)} (Debian: apt-get install {packages})"
        self._languages = "+".join(usable)
        self._mode = "--psm 1" if "osd" in installed else "--psm 3"

    def read(self, picture: Image.Image, page: int, dpi: float) -> Iterator[Element]:
        """Paragraphs of ``picture``, turned upright if it lies on its side."""
        data = pytesseract.image_to_data(
            picture,
            lang=self._languages,
            config=f"{self._mode} --dpi {round(dpi)}",
            output_type=pytesseract.Output.DICT,
        )
        words = [n for n, text in enumerate(data["text"]) if text.strip() and float(data["conf"][n]) >= 0]
        for _, group in groupby(words, key=lambda n: (data["block_num"][n], data["par_num"][n])):
            members = list(group)
            if sum(float(data["conf"][n]) for n in members) / len(members) < _MIN_CONFIDENCE:
                continue
            scale = _POINTS_PER_INCH / dpi
            box = (
                min(data["left"][n] for n in members) * scale,
                min(data["top"][n] for n in members) * scale,
                max(data["left"][n] + data["width"][n] for n in members) * scale,
                max(data["top"][n] + data["height"][n] for n in members) * scale,
            )
            yield Element(ElementType.IMAGE, " ".join(data["text"][n] for n in members), page, box)
