"""Names of persons in Korean text: surname and given name, judged by kiwi and by context.

kiwi knows many names and cuts others into common nouns (``송/하/은``), so no single sign
decides. A candidate starts with what its syllables and kiwi's reading are worth; labels
before it (``성명:``, ``담당자``), titles and honorifics after it (``과장``, ``씨``) and other names
beside it add to that.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from presidio_analyzer import EntityRecognizer
from presidio_analyzer import RecognizerResult as Result

from llmflow.pii import names
from llmflow.pii.entities import PLACEHOLDER
from llmflow.pii.evidence import NOT_A_NAME, context, either, shape, splits
from llmflow.pii.words import Morpheme, Morphemes, read_lines, read_words

_WORD = re.compile(rf"(?<![가-힣\d])(?:{either(names.COMPOUND_SURNAMES)}|[{''.join(sorted(names.SURNAMES))}])[가-힣]+")
_LIST = re.compile(r"[ \t]*(?:[,·、/ㆍ&]|및|와|과)[ \t]*")
_FOREIGN = re.compile(
    rf"(?:{either(names.PERSONAL_LABELS)})\s*(?:\([^()\n]{{0,20}}\)\s*)?[:：]\s*"
    r"(?P<name>[가-힣]{2,6}(?:[ ·][가-힣]{1,6}){0,3})(?=\s*(?:[(,\n/]|$))"
)
_ORGANISATION = tuple("시군구도청부사원회과팀처국소대교단당실행")
_LITTLE_CONTEXT = 0.15
_MUCH_CONTEXT = 0.3
_ENOUGH = 0.4
_CERTAIN = 0.5


@dataclass(frozen=True, slots=True)
class _Candidate:
    start: int
    end: int
    word: str
    shape: float
    context: float

    @property
    def score(self) -> float:
        return max(0.0, min(self.shape + self.context, 0.95))

    @property
    def doubtful(self) -> bool:
        """Whether kiwi should see the whole line: the word itself is all, or not enough, that speaks for it."""
        little = self.context < _LITTLE_CONTEXT or (self.score < _ENOUGH and self.context < _MUCH_CONTEXT)
        return little and self.shape > 0 and self.end - self.start > 2


def name_words(text: str) -> Iterator[str]:
    """The words of ``text`` that may hold a name: those kiwi will be asked for."""
    for match in _WORD.finditer(text):
        if splits(match.group()):
            yield match.group()


class PersonRecognizer(EntityRecognizer):  # type: ignore[misc]
    """Presidio's face of this module."""

    def __init__(self, language: str) -> None:
        super().__init__(["PERSON"], name="Korean names", supported_language=language)

    def load(self) -> None:
        """kiwi loads with its first word."""

    def analyze(self, text: str, entities: list[str], nlp_artifacts: Any = None) -> list[Result]:
        """Names in ``text`` with their scores."""
        found = _reread(text, _candidates(text))
        names_found = [*_repeated(text, _beside(text, found))]
        results = [Result("PERSON", name.start, name.end, name.score) for name in names_found]
        return results + [Result("PERSON", *match.span("name"), 0.6) for match in _foreign(text)]


def _candidates(text: str) -> list[_Candidate]:
    readings = read_words(name_words(text))
    found = []
    for match in _WORD.finditer(text):
        word, start = match.group(), match.start()
        options = []
        for length, title, particle in splits(word):
            value = shape(word, length, readings[word])
            if value > NOT_A_NAME / 2:
                around = context(text, start, start + length, match.end(), title, particle)
                options.append(_Candidate(start, start + length, word, value, around))
        if options:
            found.append(max(options, key=lambda option: option.score))
    return found


def _reread(text: str, found: list[_Candidate]) -> list[_Candidate]:
    """Judge doubtful candidates anew by kiwi's reading of their whole lines.

    In a line that was masked before, kiwi reads the rest differently; doubts stay doubts
    there, so that masking twice changes nothing.
    """
    lines: dict[tuple[int, int], list[int]] = {}
    for index, name in enumerate(found):
        if name.doubtful:
            end = text.find("\n", name.end)
            span = text.rfind("\n", 0, name.start) + 1, len(text) if end < 0 else end
            lines.setdefault(span, []).append(index)
    readings = read_lines([text[start:end] for start, end in lines])
    for ((line_start, line_end), indices), reading in zip(lines.items(), readings, strict=True):
        masked = PLACEHOLDER.search(text, line_start, line_end)
        starts = [part.start for part in reading]
        for index in indices:
            name = found[index]
            within = _within(reading, starts, name.start - line_start, len(name.word))
            value = 0.0 if masked else shape(name.word, name.end - name.start, within)
            found[index] = replace(name, shape=max(value, name.shape) if value > 0 else value)
    return found


def _foreign(text: str) -> Iterator[re.Match[str]]:
    """Names without a Korean surname (``응우옌 반 흥``), behind a label that wants a name."""
    for match in _FOREIGN.finditer(text):
        words = re.findall(r"[가-힣]+", match["name"])
        readings = read_words(words)
        if match["name"].endswith(_ORGANISATION) or len(match["name"]) < 3:
            continue
        if all(len(word) == 1 or _unusual(readings[word]) for word in words):
            yield match


def _unusual(reading: Morphemes) -> bool:
    return len(reading) == 1 and (reading[0].tag == "NNP" or not reading[0].known)


def _within(reading: Morphemes, starts: list[int], offset: int, length: int) -> Morphemes:
    """The morphemes of a line that touch the word at ``offset``, counted from its start."""
    first = bisect_left(starts, offset)
    if first and reading[first - 1].end > offset:
        first -= 1
    last = bisect_left(starts, offset + length)
    return tuple(Morpheme(part.start - offset, part.end - offset, part.tag, part.known) for part in reading[first:last])


def _beside(text: str, found: list[_Candidate]) -> list[_Candidate]:
    """Names in a list vouch for one another."""
    result = []
    for index, name in enumerate(found):
        for other in found[max(0, index - 1) : index] + found[index + 1 : index + 2]:
            between = text[min(name.end, other.end) : max(name.start, other.start)]
            if other.score >= _CERTAIN and name.end - name.start > 2 and _LIST.fullmatch(between):
                name = replace(name, context=name.context + 0.2)
        result.append(name)
    return result


def _repeated(text: str, found: list[_Candidate]) -> Iterator[_Candidate]:
    """A name that is certain once is a name wherever the same word stands again."""
    certain = {
        text[name.start : name.end]: name.score
        for name in found
        if name.score >= _CERTAIN and name.end - name.start > 2
    }
    for name in found:
        score = certain.get(text[name.start : name.end], 0.0)
        yield name if name.score >= score else replace(name, shape=score, context=0.0)
