"""CSV and its relatives."""

from __future__ import annotations

import csv
import io

from llmflow.ingestion.parsers.base import Content, Source
from llmflow.ingestion.parsers.decoding import decode
from llmflow.ingestion.parsers.tables import table_elements

_SAMPLE = 65536
_DELIMITERS = ",;\t|"


def parse(source: Source) -> Content:
    """One table; the delimiter (comma, semicolon, tab or bar) is found out."""
    text = decode(source.data)[0].replace("\r\n", "\n").replace("\r", "\n")
    delimiter = "\t" if source.extension == "tsv" else _delimiter(text[:_SAMPLE])
    csv.field_size_limit(len(text) + 1)
    rows = list(csv.reader(io.StringIO(text), delimiter=delimiter, strict=False))
    return Content(elements=table_elements(rows))


def _delimiter(sample: str) -> str:
    """The delimiter that cuts the most lines into the same number (> 1) of fields."""
    lines = [line for line in sample.split("\n")[:200] if line.strip()]

    def agreement(delimiter: str) -> tuple[int, int]:
        counts = [len(row) for row in csv.reader(lines, delimiter=delimiter)]
        common = max(set(counts), key=lambda count: (counts.count(count) if count > 1 else 0, count), default=1)
        return (counts.count(common), common) if common > 1 else (0, 0)

    return max(_DELIMITERS, key=agreement)
