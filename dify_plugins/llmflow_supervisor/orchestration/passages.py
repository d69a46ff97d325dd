"""Passages that tools found, numbered through the whole run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from dify_plugin.entities.invoke_message import InvokeMessage

from orchestration.budget import cut, tokens
from orchestration.words import Words

Resource: TypeAlias = InvokeMessage.RetrieverResourceMessage.RetrieverResource
_SHORTEST = 100
"""Tokens below which showing a passage is no use."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A passage under the number it is cited by."""

    number: int
    resource: Resource

    @property
    def content(self) -> str:
        """Its text."""
        return self.resource.content or ""

    def title(self, words: Words) -> str:
        """Document and page."""
        name = self.resource.document_name or words.untitled
        return name if self.resource.page is None else f"{name}, {words.page.format(page=self.resource.page)}"

    @property
    def fields(self) -> dict[str, Any]:
        """For programs."""
        return {
            "number": self.number,
            "title": self.resource.document_name,
            "document_id": self.resource.document_id,
            "chunk_id": self.resource.segment_id,
            "page": self.resource.page,
            "score": self.resource.score,
        }


class Passages:
    """All passages of a run; the same one found again keeps its number."""

    def __init__(self) -> None:
        self._by_key: dict[tuple[str, ...], Passage] = {}

    def __iter__(self) -> Iterator[Passage]:
        return iter(self._by_key.values())

    def __len__(self) -> int:
        return len(self._by_key)

    def add(self, resource: Resource) -> Passage:
        """The passage with its number, the next one if it is new; of a chunk, the longest part found is kept."""
        chunk = resource.segment_id
        key = (chunk,) if chunk else (resource.document_id or resource.document_name or "", resource.content or "")
        known = self._by_key.get(key)
        if known is None or len(resource.content or "") > len(known.content):
            number = known.number if known else len(self._by_key) + 1
            self._by_key[key] = Passage(number, resource.model_copy(update={"position": number}))
        return self._by_key[key]


def resource_of(item: Any) -> Resource | None:
    """An item of a ``result`` as retrieval tools give it, else None.

    Args:
        item: ``{"content", "title", "score", "metadata": {"document_id", "chunk_id", "page", ...}}``.
    """
    if not isinstance(item, Mapping):
        return None
    content, metadata = item.get("content"), item.get("metadata")
    if not (isinstance(content, str) and isinstance(metadata, Mapping)):
        return None
    page, score = metadata.get("page"), item.get("score")
    return Resource(
        document_id=_text(metadata.get("document_id")),
        document_name=_text(item.get("title")),
        segment_id=_text(metadata.get("chunk_id") or metadata.get("segment_id")),
        score=score if isinstance(score, int | float) else None,
        content=content,
        page=page if isinstance(page, int) else None,
        doc_metadata=dict(metadata),
    )


def listing(passages: Iterable[Passage], room: int, words: Words) -> tuple[str, list[int]]:
    """Numbered passages within ``room`` tokens, and the numbers shown: each gets its share, saying where it is cut."""
    waiting = list(passages)
    lines: list[str] = []
    shown: list[int] = []
    for index, passage in enumerate(waiting):
        share = max(room // (len(waiting) - index), _SHORTEST)
        if share > room:
            lines.append(words.left_out.format(count=len(waiting) - index))
            break
        line = cut(f"[{passage.number}] {passage.title(words)}\n{passage.content}", share, words)
        room -= tokens(line)
        lines.append(line)
        shown.append(passage.number)
    return "\n\n".join(lines), shown


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
