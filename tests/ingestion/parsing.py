"""Parsing of bytes in this process, for tests of the parsers themselves."""

from __future__ import annotations

import pytest

from llmflow.errors import DocumentError
from llmflow.ingestion.parsers import parse_source
from llmflow.ingestion.parsers.base import Source
from llmflow.schema import Element, ElementType, ParsedDocument
from llmflow.settings import ParsingSettings


def parse_bytes(data: bytes, name: str, **settings: object) -> ParsedDocument:
    return parse_source(Source(data, name, ParsingSettings.model_validate(settings)))


def refusal(data: bytes, name: str, **settings: object) -> DocumentError:
    with pytest.raises(DocumentError) as caught:
        parse_bytes(data, name, **settings)
    assert name in caught.value.message
    return caught.value


def shown(parsed: ParsedDocument) -> list[tuple[str, str]]:
    return [(element.type.value, element.text) for element in parsed.elements]


def of_type(parsed: ParsedDocument, kind: ElementType) -> list[Element]:
    return [element for element in parsed.elements if element.type is kind]
