"""Names of persons in Korean text: surname and given name, judged by kiwi and by context.

kiwi knows many names and often cuts others into common nouns (``송/하/은``), so no single
sign decides. A candidate starts with what its shape and kiwi's reading are worth; labels
before it (``성명:``, ``담당자``), titles and honorifics after it (``과장``, ``씨``) and other names
beside it add to that.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from presidio_analyzer import EntityRecognizer
from presidio_analyzer import RecognizerResult as Result

from llmflow.pii import names
from llmflow.pii.words import Morphemes, morphemes


def _any(words: list[str] | tuple[str, ...]) -> str:
    return "|".join(sorted(words, key=len, reverse=True))


_TITLE = _any([*names.TITLES, *names.HONORIFICS])
_PARTICLE = _any(names.PARTICLES)
_CANDIDATE = re.compile(rf"(?<![가-힣])(?:{_any(names.COMPOUND_SURNAMES)}|[{''.join(names.SURNAMES)}])[가-힣]+")
_TAIL = re.compile(rf"(?P<title>{_TITLE})?님?(?:들)?(?P<particle>{_PARTICLE})?")
_LABEL = re.compile(rf"(?:{_any([*names.ROLES, *names.TITLES])})\s*(?:\([^()\n]{{0,20}}\)\s*)?[:：]\s*$")
_ROLE = re.compile(rf"(?:(?<![가-힣])故\s?|(?:{_any([*names.ROLES, *names.TITLES])})(?:인|의)?\s*[\s(]\s*)$")
_COLON = re.compile(r"[가-힣)]\s*[:：]\s*$")
_AFTER_TITLE = re.compile(rf"\s?(?:{_any(names.HONORIFICS)})(?![가-힣])|\s(?:[가-힣·]+(?:과|팀|부|실|국|처|관|센터)\s)?(?:{_TITLE})님?(?:{_PARTICLE})?(?![가-힣])")
_AFTER_DETAIL = re.compile(
    r"\s*[(,/|]\s*(?:\d{6}\s?-|(?:19|20)?\d\d[년.]|만?\s?\d{1,3}\s?세|\d0대|0\d{1,2}-|한자|[一-龥]{2,4}|주민|생년|연락처|남성?\b|여성?\b|"
    r"[a-z][a-z0-9._-]+@|\[(?:KR_RRN|KR_FRN|PHONE_NUMBER|EMAIL|DATE_OF_BIRTH)\])"
    r"|\s?\([一-龥]{2,4}\)"
)
_AFTER_PAREN = re.compile(r"\s*\(")
_LIST = re.compile(r"\s*(?:[,·、/ㆍ]|및|와|과)\s*")
_FOREIGN = re.compile(
    r"(?:성명|이름|성함|신청인|환자|신청자)\s*(?:\([^()\n]{0,20}\)\s*)?[:：]\s*(?P<name>[가-힣]{1,6}(?: [가-힣]{1,6}){0,3})(?=\s*(?:[(,\n/·]|$))"
)

_BACK = 32


@dataclass(frozen=True, slots=True)
class _Name:
    start: int
    end: int
    shape: float
    context: float

    @property
    def score(self) -> float:
        return max(0.0, min(self.shape + self.context, 0.95))


def name_words(text: str) -> Iterator[str]:
    """The words of ``text`` that may hold a name: those kiwi will be asked for."""
    for match in _CANDIDATE.finditer(text):
        if any(True for _ in _splits(match.group())):
            yield match.group()


class PersonRecognizer(EntityRecognizer):  # type: ignore[misc]
    """Presidio's face of this module."""

    def __init__(self, language: str) -> None:
        super().__init__(["PERSON"], name="Korean names", supported_language=language)

    def load(self) -> None:
        """kiwi loads with its first word."""

    def analyze(self, text: str, entities: list[str], nlp_artifacts: Any = None) -> list[Result]:
        """Names in ``text`` with their scores."""
        return [
            Result("PERSON", name.start, name.end, name.score)
            for name in _repeated(text, _beside(text, [*_candidates(text)]))
        ]


def _splits(word: str) -> Iterator[tuple[int, re.Match[str]]]:
    """Lengths a name at the start of ``word`` can have, and what follows it in the word."""
    compound = word[:2] in names.COMPOUND_SURNAMES
    for length in (4, 3, 2) if compound else (3, 2):
        if length <= len(word) and (tail := _TAIL.fullmatch(word, length)):
            yield length, tail


def _candidates(text: str) -> Iterator[_Name]:
    for match in _CANDIDATE.finditer(text):
        word = match.group()
        best: _Name | None = None
        for length, tail in _splits(word):
            end = match.start() + length
            given = word[1:length]
            if given in names.TITLES or given in names.HONORIFICS:
                continue
            shape = _shape(word, length, morphemes(word))
            context = _context(text, match.start(), end, match.end(), tail)
            name = _Name(match.start(), end, shape, context)
            if best is None or name.score > best.score:
                best = name
        if best is not None:
            yield best


def _plausible(word: str, length: int) -> bool:
    given = word[2:length] if word[:2] in names.COMPOUND_SURNAMES and length > 3 else word[1:length]
    if len(given) == 1:
        return given in names.FIRST_SYLLABLES or given in names.SECOND_SYLLABLES
    return given[0] in names.FIRST_SYLLABLES and given[1] in names.SECOND_SYLLABLES


def _shape(word: str, length: int, reading: Morphemes) -> float:
    """What surname, syllables and kiwi's reading are worth without any context."""
    plausible = _plausible(word, length)
    inside = [part for part in reading if part.start < length]
    if not inside:
        return 0.0
    last = inside[-1]
    score = 0.0
    if len(inside) == 1 and last.end == length:
        if last.tag == "NNP" and last.known:
            score = 0.45 if plausible else 0.15
        elif not last.known:
            score = 0.4 if plausible else 0.1
        else:
            return -0.6
    elif last.end > length and last.known:
        return -0.6
    elif inside[0].end == 2 < length and inside[0].known and last.tag[0] in "JEVX":
        return -0.6
    elif inside[0].end == 1 and len(inside) == 2 and inside[1].tag == "NNP":
        score = 0.35 if plausible else 0.05
    else:
        score = 0.15 if plausible else -0.2
    if length == 2:
        score -= 0.3
    if word[0] in names.RARE_SURNAMES:
        score -= 0.1
    return score


def _context(text: str, start: int, end: int, word_end: int, tail: re.Match[str]) -> float:
    before = text[max(0, start - _BACK) : start]
    score = 0.0
    if _LABEL.search(before):
        score += 0.45
    elif _ROLE.search(before):
        score += 0.3
    elif _COLON.search(before):
        score += 0.15
    if tail["title"]:
        score += 0.3
    elif word_end == end:
        if _AFTER_TITLE.match(text, end):
            score += 0.35
        if _AFTER_DETAIL.match(text, end):
            score += 0.35
        elif _AFTER_PAREN.match(text, end):
            score += 0.1
    elif tail["particle"] in ("에게", "께", "께서", "한테"):
        score += 0.1
    return score


def _beside(text: str, found: list[_Name]) -> list[_Name]:
    """Names in a list vouch for one another."""
    result = []
    for index, name in enumerate(found):
        neighbours = found[max(0, index - 1) : index] + found[index + 1 : index + 2]
        gain = 0.0
        for other in neighbours:
            between = text[min(name.end, other.end) : max(name.start, other.start)]
            if other.score >= 0.4 and name.end - name.start > 2 and _LIST.fullmatch(between):
                gain = 0.25
        result.append(_Name(name.start, name.end, name.shape, name.context + gain))
    return result


def _repeated(text: str, found: list[_Name]) -> Iterator[_Name]:
    """A name that is certain once is a name wherever the same word stands again."""
    certain = {text[name.start : name.end]: name.score for name in found if name.score >= 0.5 and name.end - name.start > 2}
    for name in found:
        score = certain.get(text[name.start : name.end], 0.0)
        yield name if name.score >= score else _Name(name.start, name.end, score, 0.0)
