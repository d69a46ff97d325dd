"""What a chunk is about, by its title and headings.

"민법 제750조(불법행위의 내용)" names a work (민법), an article (제750조) and a subject (불법행위의 내용);
"3.2 지급 기준" and "제2절 계약의 해제" name a subject behind a number.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from llmflow.korean import normalize
from llmflow.schema import Chunk

_ARTICLE = re.compile(
    r"(?:(?P<work>.*\S)\s+)?제\s*(?P<number>\d+)\s*조(?:\s*의\s*(?P<branch>\d+))?"
    r"\s*(?:[(（【](?P<subject>.+)[)）】])?"
)
_DIVISION = re.compile(r"제\s*\d+\s*[편장절관](?:\s*의\s*\d+)?\s*")
_NUMBERING = re.compile(r"(?:\d{1,2}[.)]|\d{1,2}(?:\.\d{1,2})+[.)]?|[IVX]+\.|[가-하]\.|[①-⑳])\s+")
_DISAMBIGUATION = re.compile(r"\s*\([^()]*\)$")
_RULES = re.compile(r".*(?:법|법률|령|규칙|규정|조례|헌법|지침|강령|내규|세칙|정관|약관)(?:\s*\(.*\))?")


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading's parts; each None where it names none. ``article`` is normalised ("제60조의2")."""

    work: str | None
    article: str | None
    subject: str | None


@dataclass(frozen=True, slots=True)
class Subject:
    """What a chunk is about: ``work`` is the law, rule or document it is part of."""

    work: str | None
    article: str | None
    name: str | None


def read_heading(text: str) -> Heading:
    """The parts of a heading."""
    text = normalize(text)
    found = _ARTICLE.fullmatch(text)
    if found:
        return Heading(found["work"], article_label(found["number"], found["branch"]), found["subject"])
    bare = _NUMBERING.sub("", _DIVISION.sub("", text, count=1), count=1)
    return Heading(None, None, _DISAMBIGUATION.sub("", bare) or bare or None)


def article_label(number: str, branch: str | None) -> str:
    """ "제60조의2" of its numbers, as in :class:`~llmflow.schema.Chunk`."""
    return f"제{int(number)}조" + (f"의{int(branch)}" if branch else "")


def subject_of(chunk: Chunk) -> Subject:
    """What a chunk is about: the innermost heading that says something, the article and the work."""
    title = read_heading(chunk.title)
    if title.article:  # an article that is a document of its own; what stands above it is of its work
        return Subject(title.work, title.article, title.subject)
    headings = [read_heading(text) for text in chunk.section_path]
    own = [heading for heading in headings if heading.article] if chunk.article else headings
    name = next((heading.subject for heading in reversed(own) if heading.subject), None)
    if name is None and not chunk.article:
        name = title.subject
    # A rule book names its rules in the section path.
    rules = [
        text for text in chunk.section_path if chunk.article and _RULES.fullmatch(text) and not _DIVISION.match(text)
    ]
    return Subject(rules[-1] if rules else chunk.title or None, chunk.article, name)
