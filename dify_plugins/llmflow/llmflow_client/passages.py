"""Passages in the forms of the server, of Dify's variables and of people."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from dify_plugin.entities.tool import ToolInvokeMessage

from llmflow_client.errors import InvokeBadRequestError
from llmflow_client.foreign_json import cleaned, read
from llmflow_client.texts import say

RetrieverResource: TypeAlias = ToolInvokeMessage.RetrieverResourceMessage.RetrieverResource
Passage = dict[str, Any]
"""``content``, ``title``, ``score`` and ``metadata``, none of them null; Dify's own form of what it retrieves."""
Numbered = Mapping[int, Passage]
"""Passages under the numbers that a text cites them by."""

_CONTENTS = ("content", "text", "page_content")
_LISTS = ("result", "records", "passages", "documents")
_LONGEST_PYTHON = 200_000
"""Characters of a list written by Python that are read: reading it takes memory many times its length."""
_PYTHON = ("[{", "[[", "['", '["', "{'")
"""How such a list begins, unlike a text that begins with ``[1]``."""
_SHOWN = 80


def of_candidate(candidate: Mapping[str, Any], explain: bool) -> Passage:
    """A passage as the server found it; with ``explain`` also how each stage judged it."""
    chunk = candidate["chunk"]
    metadata = {
        "document_id": chunk["document_id"],
        "chunk_id": chunk["id"],
        "page": chunk.get("page"),
        "department": chunk.get("department"),
        "section": " > ".join(chunk.get("section_path") or ()),
    }
    passage = {
        "content": chunk["text"],
        "title": chunk["document_name"],
        "score": candidate["score"],
        "metadata": {key: value for key, value in metadata.items() if value not in (None, "")},
    }
    if explain:
        notes = {note["stage"]: note["text"] for note in candidate.get("notes") or ()}
        passage["stages"] = [
            {**stage, **({"note": notes[stage["stage"]]} if stage["stage"] in notes else {})}
            for stage in candidate.get("stages") or ()
        ]
    return passage


def given(value: Any, language: str) -> list[Passage]:
    """Passages as people hand them on: a list of texts or objects, lists in it, JSON, or a text with one a line.

    Dify writes a list into a text template as Python does; that is read as well. Empty passages are left out.
    """
    if isinstance(value, str):
        value = _parsed(value, language)
    try:
        value = cleaned(value)
    except ValueError:
        raise _bad(value, language) from None
    return [passage for passage in _flat(value, language) if passage["content"].strip()]


def numbered(passages: list[Passage]) -> Numbered:
    """Passages counted from 1."""
    return dict(enumerate(passages, 1))


def context(passages: Numbered, language: str) -> str:
    """The passages as a text to quote from, each under its number and where it is from."""
    parts = []
    for number, passage in passages.items():
        metadata = passage["metadata"]
        source = place(passage.get("title"), metadata.get("page"), language, metadata.get("section"))
        parts.append(f"[{number}] {source}".rstrip() + f"\n{passage['content']}")
    return "\n\n".join(parts)


def place(title: Any, page: Any, language: str, section: Any = None) -> str:
    """Where a passage is from, as far as it is known."""
    parts = (title, say(language, "page", page=page) if page else None, section)
    return " · ".join(str(part) for part in parts if part)


def resources(passages: Numbered) -> list[RetrieverResource]:
    """The passages as Dify shows citations."""
    return [
        RetrieverResource(
            position=number,
            dataset_name=_text(passage["metadata"].get("department")),
            document_id=_text(passage["metadata"].get("document_id")),
            document_name=_text(passage.get("title")),
            segment_id=_text(passage["metadata"].get("chunk_id")),
            score=passage.get("score"),
            content=passage["content"],
            page=page if isinstance(page := passage["metadata"].get("page"), int) else None,
        )
        for number, passage in passages.items()
    ]


def _parsed(text: str, language: str) -> Any:
    """What a text says: JSON, a list as Python writes it, or a passage a line."""
    text = text.strip()
    if text.startswith(("[", "{")):
        try:
            return read(text)
        except ValueError:
            pass
        if text.startswith(_PYTHON):
            if len(text) > _LONGEST_PYTHON:
                raise InvokeBadRequestError(say(language, "long_python_passages", length=len(text)))
            try:
                return ast.literal_eval(text)
            except (ValueError, SyntaxError, MemoryError, RecursionError):
                pass
    return text.splitlines()


def _flat(value: Any, language: str) -> Iterator[Passage]:
    if isinstance(value, str):
        yield {"content": value, "metadata": {}}
    elif isinstance(value, list):
        for each in value:
            yield from _flat(each, language)
    elif isinstance(value, dict):
        yield from _of_object(value, language)
    elif value is not None:
        raise _bad(value, language)


def _of_object(value: dict[str, Any], language: str) -> Iterator[Passage]:
    for key in _CONTENTS:
        if isinstance(content := value.get(key), str):
            metadata = value.get("metadata")
            passage = {"content": content, "metadata": metadata if isinstance(metadata, dict) else {}}
            if isinstance(title := value.get("title"), str) and title:
                passage["title"] = title
            yield passage
            return
    for key in _LISTS:
        if isinstance(value.get(key), list):
            yield from _flat(value[key], language)
            return
    raise _bad(value, language)


def _bad(value: Any, language: str) -> InvokeBadRequestError:
    return InvokeBadRequestError(say(language, "bad_passages", found=str(value)[:_SHOWN]))


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
