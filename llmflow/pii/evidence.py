"""What speaks for and against a Korean word being somebody's name.

Values are added up; with nothing else known, 0.4 is enough (``pii.threshold``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from llmflow.pii import names
from llmflow.pii.words import Morpheme, Morphemes, read_words


def either(words: Iterable[str]) -> str:
    """A regular expression for any of ``words``, longest first."""
    return "|".join(sorted(words, key=len, reverse=True))


NOT_A_NAME = -1.0
_TITLE = either([*names.TITLES, *names.HONORIFICS])
_PARTICLE = rf"(?:{either(names.PARTICLES)}|{names.COPULA}[가-힣]*)"
_TAIL = re.compile(rf"(?P<title>{_TITLE})?님?(?P<particle>{_PARTICLE})?")
_ROLES = frozenset([*names.ROLES, *names.TITLES])
_LONGEST_ROLE = max(map(len, _ROLES))
_REMARK = re.compile(r"\s*\([^()\n]{0,20}\)$")
_BULLET = re.compile(r"(?:^|\n)[ \t]*(?:[-•*·□○◦▪▶]|\(?\d{1,3}[.)])[ \t]+$")
_UNIT = r"(?:[가-힣A-Za-z0-9·]*(?:과|팀|부|실|국|처|관|센터|대|청|원|사|교|소|위|단|당)\s)"
_AFTER_TITLE = re.compile(
    rf"[ \t]?(?:{either(names.HONORIFICS)})(?![가-힣])"
    rf"|[ \t](?:(?:전|현|신임)[ \t])?{_UNIT}?[가-힣]{{0,4}}(?:{_TITLE})님?{_PARTICLE}?(?![가-힣])"
)
_AFTER_DETAIL = re.compile(
    r"[ \t]*[(,/|][ \t]*(?:\d{6}\s?-|(?:19|20)?\d\d\s?[년.]|만?\s?\d{1,3}\s?세|\d0대|0\d{1,2}-|한자|주민|생년"
    r"|연락처|남성?\b|여성?\b|[a-z][a-z0-9._-]+@|\[(?:KR_RRN|KR_FRN|PHONE_NUMBER|EMAIL|DATE_OF_BIRTH)\])"
)
_AFTER_HANJA = re.compile(r"\s?\(([一-龥])[一-龥]{1,3}[,)]")
_AFTER_PAREN = re.compile(r"[ \t]*\(")
_ITEM_END = re.compile(r"\s*(?:\(|,|$|\n)")
_TO_PEOPLE = ("에게", "께", "께서", "한테", "께서는", "에게는")
_PLACE_END = frozenset("시군구도역당청대")
_NOUN_PIECES = frozenset({"NNP", "NNG", "NNB", "NR", "XPN", "XSN", "MM", "XR"})


@lru_cache(maxsize=100_000)
def splits(word: str) -> tuple[tuple[int, str | None, str | None], ...]:
    """Lengths a name at the start of ``word`` can have, each with the title and particle left of the word."""
    lengths = (4, 3, 2) if word[:2] in names.COMPOUND_SURNAMES else (3, 2)
    tails = [(length, _TAIL.fullmatch(word, length)) for length in lengths if length <= len(word)]
    return tuple((length, tail["title"], tail["particle"]) for length, tail in tails if tail)


def plausible(name: str) -> bool:
    """Whether surname and syllables are those of names; titles after a surname are none."""
    given = name[2:] if name[:2] in names.COMPOUND_SURNAMES and len(name) > 3 else name[1:]
    if len(given) == 1:
        return given in names.FIRST_SYLLABLES or given in names.SECOND_SYLLABLES
    return given[0] in names.FIRST_SYLLABLES and given[1] in names.SECOND_SYLLABLES


def shape(word: str, length: int, reading: Morphemes) -> float:
    """What the syllables of ``word[:length]`` and kiwi's reading of ``word`` are worth."""
    name = word[:length]
    if name[1:] in names.TITLES or name[1:] in names.HONORIFICS:
        return NOT_A_NAME
    score = _reading(name, [part for part in reading if part.start < length])
    if length == 2:
        score -= 0.5
    if word[0] in names.RARE_SURNAMES and word[:2] not in names.COMPOUND_SURNAMES:
        score -= 0.1
    return score


def _reading(name: str, parts: list[Morpheme]) -> float:
    if not parts or parts[0].start < 0:
        return NOT_A_NAME
    last, likely = parts[-1], plausible(name)
    if last.end > len(name) and last.known:
        return NOT_A_NAME
    if len(parts) == 1 and last.end == len(name):
        return _single(name, last, likely)
    tags = [part.tag for part in parts]
    if tags[0][0] == "V" or any(tag not in _NOUN_PIECES for tag in tags[1:]):
        return NOT_A_NAME
    if not likely:
        return -0.2
    if _common_compound(name):
        return 0.1
    if parts[0].end == 1 and len(parts) == 2:
        return 0.42 if parts[1].tag == "NNP" or not parts[1].known else 0.15
    if parts[0].end == 2 and parts[0].known and parts[0].tag == "NNG":
        return 0.1
    return 0.4


def _single(name: str, part: Morpheme, likely: bool) -> float:
    if part.tag != "NNP" and part.known:
        return -0.45
    if name[-1] in _PLACE_END:
        return -0.45 if part.known else 0.0
    if _common_compound(name):
        return 0.1
    if not part.known:
        return 0.4 if likely else 0.1
    return 0.45 if likely else 0.2


def _common_compound(name: str) -> bool:
    """Whether the name may as well be a common noun with a suffix, as ``설치자`` and ``구상권`` are."""
    if len(name) != 3 or name[2] not in names.COMMON_SUFFIXES:
        return False
    stem = read_words([name[:2]])[name[:2]]
    return len(stem) == 1 and stem[0].known and stem[0].tag == "NNG"


def context(text: str, start: int, end: int, word_end: int, title: str | None, particle: str | None) -> float:
    """What stands around ``text[start:end]`` is worth; title and particle end the word it starts."""
    score = _before(text, start, end)
    if title:
        return score + 0.3
    if particle:
        return score + (0.1 if particle in _TO_PEOPLE else 0.0)
    if word_end != end:  # a lone 님
        return score + 0.35
    if _AFTER_TITLE.match(text, end):
        score += 0.35
    if hanja := _AFTER_HANJA.match(text, end):
        return score + (0.4 if hanja[1] in names.FAMILY_HANJA else -0.4)
    if _AFTER_DETAIL.match(text, end):
        return score + 0.35
    if _AFTER_PAREN.match(text, end):
        return score + 0.15
    return score


def _before(text: str, start: int, end: int) -> float:
    before = text[max(0, start - 40) : start]
    stripped = before.rstrip(" \t\u3000")
    colon = stripped.endswith((":", "："))
    if colon:
        stripped = _REMARK.sub("", stripped[:-1].rstrip())
    elif _BULLET.search(before):
        return 0.15 if _ITEM_END.match(text, end) else 0.05
    elif stripped.endswith(("(", "-", "–")):
        stripped = stripped[:-1].rstrip()
    elif stripped == before and not before.endswith("故"):
        return 0.0
    if stripped.endswith("故"):
        return 0.35
    for length in range(2, _LONGEST_ROLE + 1):
        if stripped[-length:] in _ROLES:
            return 0.45 if colon else 0.3
    return 0.25 if colon and stripped and "가" <= stripped[-1] <= "힣" else 0.0
