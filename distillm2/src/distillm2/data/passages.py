"""Passages to make questions from: JSONL with id, title and text, or a folder of .txt and .md files."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from distillm2.data.sources import parse_rows, read_rows
from distillm2.errors import DistillationError

Language = Literal["ko", "en"]
KOREAN_SHARE = 0.3


@dataclass(frozen=True)
class Passage:
    """A text to ask about; ``id`` is unique in its source."""

    id: str
    title: str
    text: str

    @property
    def language(self) -> Language:
        """Korean when at least three letters in ten are Hangul, else English."""
        letters = [sign for sign in unicodedata.normalize("NFC", self.text) if sign.isalpha()]
        hangul = sum("가" <= sign <= "힣" for sign in letters)
        return "ko" if hangul >= KOREAN_SHARE * len(letters) else "en"


def load_passages(source: Path) -> list[Passage]:
    """All passages of a JSONL or JSON file, or of a folder and its subfolders.

    Raises:
        DistillationError: nothing there, bad rows (each with file and line), or an id that comes twice.
    """
    if source.is_dir():
        files = sorted(path for path in source.rglob("*") if path.suffix in (".txt", ".md") and path.is_file())
        passages = [_file(path, source) for path in files]
    else:
        passages = parse_rows(read_rows(source), _parse)
    if not passages:
        raise DistillationError(f"{source} holds no passages: give JSONL with id, title, text, or .txt and .md files.")
    ids: set[str] = set()
    for passage in passages:
        if passage.id in ids:
            raise DistillationError(f"{source}: the id {passage.id!r} comes twice; ids must be unique.")
        ids.add(passage.id)
    return passages


def _file(path: Path, folder: Path) -> Passage:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DistillationError(f"{path} cannot be read: {error}") from error
    if not text.strip():
        raise DistillationError(f"{path} is empty: delete it or fill it.")
    return Passage(path.relative_to(folder).as_posix(), path.stem, text)


def _parse(row: Any) -> Passage:
    if not isinstance(row, Mapping) or not isinstance(row.get("text"), str) or not row["text"].strip():
        raise ValueError('an object {"id": ..., "title": ..., "text": ...} with some text is needed')
    if row.get("id") in (None, ""):
        raise ValueError("no id")
    row["text"].encode()  # half a surrogate pair cannot be sent
    return Passage(str(row["id"]), str(row.get("title") or ""), row["text"])
