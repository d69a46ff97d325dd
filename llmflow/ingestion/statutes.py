"""Korean statutes and company rules: which lines are headings, and how an article is cut.

Law is written as 편 > 장 > 절 > 관 > 조 > 항 (①) > 호 (1.) > 목 (가.), followed by 부칙
(addenda) which count their articles anew and by 별표/별지 (annexes). A line that begins
with an article number is a heading only where numbering and grammar say so: statutes quote
each other ("제60조(연차 유급휴가)에 따라") and addenda quote the law they amend.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from llmflow.ingestion.packing import Atom, cut, joined

RANKS = {"편": 1, "장": 2, "절": 3, "관": 4}
"""Depth of the divisions above an article."""
TOP_RANK = 1
"""부칙 and annexes stand beside 편."""
ARTICLE_RANK = 5

_MAX_HEADING = 80
_SUPPLEMENT_GAP = 3
"""Articles an addendum may seem to skip before a number is taken for a quotation."""

_ARTICLE = r"제\s*(?P<number>\d+)\s*조(?:\s*의\s*(?P<branch>\d+))?"
_NUMBERED = re.compile(_ARTICLE)
_TITLED = re.compile(
    rf"{_ARTICLE}\s*(?:[(（](?P<round>[^()（）]*(?:[(（][^()（）]*[)）][^()（）]*)*)[)）]|【(?P<square>[^】]*)】)(?P<rest>.*)$",
    re.S,
)
_BARE = re.compile(rf"{_ARTICLE}(?P<rest>(?:\s*[①-⑳]|\s).*)?$", re.S)
_OMITTED = re.compile(
    r"제\s*\d+\s*조(?:\s*의\s*\d+)?[\s제\d조의,ㆍ·및내지부터까]*(?:삭\s*제|생\s*략)\s*(?:<[^<>]*>)?\s*\.?$"
)
_LINKED = re.compile(r"\s*(?:및\s|또는\s|내지\s|부터|까지|[,ㆍ·”’」\"'])")
_POINTED = re.compile(r"\s*(?:제\s*\d+\s*[편장절관조항호목]|각\s|본문|단서|전단|후단|중\s)")
_DIVISION_POINTED = re.compile(r"제\s*\d+\s*[편장절관조항호목]|중\s")
_PARTICLE = re.compile(r"(?:에|의|을|를|과|와|로|으로|란|이란|은|는)(?![가-힣])|에서|에는|에도")
_DIVISION = re.compile(r"제\s*\d+\s*(?P<kind>[편장절관])(?:\s*의\s*\d+)?(?:\s+(?P<title>\S.*))?$")
_SUPPLEMENT = re.compile(r"부\s*칙\s*(?:[<(\[（].*)?$")
_ANNEX = re.compile(
    r"(?:[<\[【〈]\s*별\s*[표지][^>\]】〉]*[>\]】〉].*|별\s*[표지]\s*(?:제?\s*\d+(?:\s*호)?(?:의\s*\d+)?(?:\s*서식)?)?(?:\s*[(（<].*)?)$"
)
_LEADER = re.compile(r"[.·…‥⋯]{3,}\s*\d*$")
_STARTS = re.compile(r"^\s*(?:제\s*\d|부\s*칙|[<\[【〈]?\s*별\s*[표지])", re.M)

_DATED = re.compile(r"\s*<[가-힣ㆍ,\s]{0,16}\d{4}\s*[.ㆍ·]\s*\d{1,2}\s*[.ㆍ·][^<>]*>")
_BRACKETED = re.compile(
    r"\s*\[(?:[가-힣ㆍ\s]*(?:신설|개정|삭제)\s*\d{4}\s*[.ㆍ·][^\[\]]*|[^\[\]]{0,80}이동\s*(?:,[^\[\]]*)?)\]"
)
_NOTHING = re.compile(r"(?:삭\s*제|생\s*략)?\s*\.?$")
_INLINE_PARAGRAPH = re.compile(r"(?<=[.>\])）])[^\S\n]+(?=[①-⑳㉑-㉟])")

_MARKERS = [
    re.compile(pattern)
    for pattern in (
        r"[①-⑳㉑-㉟]",
        r"\d{1,3}(?:의\d+)?\.(?!\d)",
        r"[가-힣]\.\s",
        r"\d{1,3}\)",
        r"[가-힣]\)\s",
        r"[-•·○]\s",
    )
]
_CONTINUED = len(_MARKERS) + 1
"""Depth of a line without a marker that goes on from a marked one."""


@dataclass(frozen=True, slots=True)
class Head:
    """A heading line: its rank (1 편 to 5 조), its text, and what follows on the same line.

    ``under`` is the addendum an article belongs to; its number says nothing without it.
    """

    rank: int
    text: str
    rest: str = ""
    article: str | None = None
    under: str = ""


class HeadReader:
    """Reads the lines of one document in order and says which are headings of law text."""

    def __init__(self) -> None:
        self._last = (0, 0)
        self._supplement = ""

    def read(self, line: str, *, is_title: bool) -> Head | None:
        """The heading that ``line`` is, if any. ``is_title``: the parser calls it a title."""
        line = line.strip()
        if _LEADER.search(line):
            return None
        if len(line) <= _MAX_HEADING:
            head = self._division(line)
            if head:
                return head
        return self._article(line, is_title)

    def omits(self, line: str) -> bool:
        """Whether ``line`` only says that articles are deleted or left out ("제5조 삭제 <2010.1.1>")."""
        if not _OMITTED.match(line.strip()):
            return False
        self._last = (max(int(number) for number in re.findall(r"(\d+)\s*조", line)), 0)
        return True

    def end_supplement(self) -> None:
        """A title of the document's own outline ends the addenda."""
        self._supplement = ""

    def _division(self, line: str) -> Head | None:
        if _SUPPLEMENT.match(line):
            self._supplement, self._last = " ".join(line.split()), (0, 0)
            return Head(TOP_RANK, self._supplement)
        text = without_marks(line)
        division = _DIVISION.match(text)
        rank = RANKS[division["kind"]] if division else TOP_RANK
        title = (division["title"] or "") if division else ""
        if not (division or _ANNEX.match(text)) or text.endswith((".", ",", "다")):
            return None
        if _LINKED.match(title) or _DIVISION_POINTED.match(title):
            return None
        self._supplement = ""
        return Head(rank, text)

    def _article(self, line: str, is_title: bool) -> Head | None:
        match = _TITLED.match(line)
        title = (match["round"] or match["square"] or "").strip() if match else ""
        bare = not title or len(title) > _MAX_HEADING
        if bare:
            match = _BARE.match(line)
        if match is None:
            return None
        rest = (match["rest"] or "").lstrip()
        number = (int(match["number"]), int(match["branch"] or 0))
        gap = number[0] - self._last[0]
        follows = gap == 1 or (gap == 0 and number[1] > self._last[1]) or number == (1, 0)
        if rest and not self._is_heading(match["rest"], bare=bare, follows=follows):
            return None
        if (bare and not rest and not is_title and not follows) or (
            self._supplement and not 0 <= gap <= _SUPPLEMENT_GAP
        ):
            return None
        self._last = number
        label = f"제{number[0]}조" + (f"의{number[1]}" if number[1] else "")
        heading = label if bare else f"{label}({' '.join(without_marks(title).split())})"
        if bare and is_title and rest:
            heading, rest = f"{label} {' '.join(rest.split())}", ""
        if self._supplement:
            return Head(ARTICLE_RANK, heading, rest, f"부칙 {label}", self._supplement)
        return Head(ARTICLE_RANK, heading, rest, label)

    @staticmethod
    def _is_heading(rest: str, *, bare: bool, follows: bool) -> bool:
        if _LINKED.match(rest):
            return False
        if bare:
            return follows and not _POINTED.match(rest)
        if "가" <= rest[0] <= "힣":
            return follows and not _PARTICLE.match(rest)
        return follows or not _POINTED.match(rest)


def may_hold_heads(text: str) -> bool:
    """Whether any line of ``text`` begins like a heading; a quick test before reading lines."""
    return _STARTS.search(text) is not None


def names_article(text: str) -> bool:
    """Whether ``text`` begins with an article's number."""
    return _NUMBERED.match(text) is not None


def without_marks(text: str) -> str:
    """``text`` without amendment history: ``<개정 2014.3.24>``, ``[본조신설 2008.3.21]``."""
    if "<" not in text and "[" not in text:
        return text
    return _BRACKETED.sub("", _DATED.sub("", text)).strip()


def says_nothing(text: str) -> bool:
    """Whether an article's text is empty or only says that it was deleted or is left out."""
    return _NOTHING.match(text) is not None


def is_enumerated(line: str) -> bool:
    """Whether ``line`` is numbered as 항, 호, 목 or below."""
    return any(pattern.match(line) for pattern in _MARKERS)


def article_lines(text: str) -> list[str]:
    """The lines of an article's text, each 항 on its own, without amendment history."""
    broken = _INLINE_PARAGRAPH.sub("\n", without_marks(text))
    return [line for line in (line.strip() for line in broken.split("\n")) if line]


def article_atoms(lines: Sequence[Atom], budget: int, leads: tuple[str, ...] = ()) -> list[Atom]:
    """Group an article's lines into the largest units of 항, 호 and 목 that fit ``budget`` tokens.

    What has to be taken apart hands its opening line to its parts as ``leads``, so that a
    chunk that begins in the middle of a list can repeat what the list is about.
    """
    if sum(line.tokens for line in lines) <= budget:
        return [joined(lines, leads)]
    if len(lines) == 1:
        return [replace(part, leads=leads) for part in cut(lines[0], budget)]
    depths = _depths(lines)
    top = min(depths[1:])
    if depths[0] < top < _CONTINUED:
        opening = article_atoms(lines[:1], budget, leads)
        return opening + article_atoms(lines[1:], budget, (*leads, lines[0].text))
    starts = [0, *(index for index in range(1, len(lines)) if depths[index] == top)]
    groups = [lines[a:b] for a, b in zip(starts, [*starts[1:], len(lines)], strict=True)]
    return [atom for group in groups for atom in article_atoms(group, budget, leads)]


def _depths(lines: Sequence[Atom]) -> list[int]:
    depths: list[int] = []
    for line in lines:
        marked = next((depth for depth, pattern in enumerate(_MARKERS, 1) if pattern.match(line.text)), 0)
        depths.append(marked if marked or not any(depths) else _CONTINUED)
    return depths
