"""Statute references in statute text, resolved to work and article.

"제5조제1항", "제5조부터 제7조까지", "「형법」 제250조", "같은 법 제3조", "이 법", "전조"; in a decree
(시행령) "법 제3조" is the act's, in rules (시행규칙) "영 제3조" the decree's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from llmflow.ingestion.entities.headings import article_label

_REFERENCE = re.compile(
    r"(?:「(?P<named>[^」]{1,80})」|(?P<same>같은\s*(?:법|영|규칙|조례|규정)(?:\s*시행령|\s*시행규칙)?)"
    r"|(?P<this>(?<![가-힣])이\s*(?:법|영|규칙|조례|규정))(?![가-힣]*\s*[가-힣]*법)|(?P<above>(?<![가-힣])(?:법|영|규칙)(?=\s*제\s*\d)))?\s*"
    r"(?:제\s*(?P<number>\d+)\s*조(?:\s*의\s*(?P<branch>\d+))?"
    r"(?:(?:제\d+항)?\s*(?:부터|내지)\s*제\s*(?P<last>\d+)\s*조)?|(?P<previous>(?<![가-힣])전조))?"
)
_JOINED = re.compile(
    r"(?:제\d+항|제\d+호|각\s*[호목]|[가-하]목|의\d+|본문|단서|[전후]단|[\s,·ㆍ및와과의]|또는|내지|부터|까지)*"
)
_LONGEST_RANGE = 20
_BELOW = (" 시행규칙", " 시행령")


def act_above(work: str) -> str | None:
    """The work a decree or rules carry out: "민법 시행령" is under "민법"; None for any other work."""
    for ending in _BELOW:
        if work.endswith(ending) or work.endswith(ending.strip()):
            return work.removesuffix(ending.strip()).rstrip() or None
    return None


def find_references(
    text: str, work: str | None, article: str | None, previous: str | None
) -> Iterator[tuple[str, str | None]]:
    """(work, article) of each reference, article None where only a work is named; none to the text itself.

    Args:
        work: the work the text is of, None where it has none: only named works are found then.
        article: the article the text is of.
        previous: the article before it, for "전조".
    """
    current, end = work, 0
    for match in _REFERENCE.finditer(text):
        if not match.group().strip():
            continue
        plain = not (match["named"] or match["same"] or match["this"] or match["above"])
        if match["named"]:
            current = " ".join(match["named"].split())
        elif match["above"]:
            current = _above(work, match["above"])
        elif (
            match["this"] or match["previous"] or (plain and not (end and _JOINED.fullmatch(text[end : match.start()])))
        ):
            current = work
        if match["number"]:
            end = match.end()
            articles: list[str | None] = [article_label(match["number"], match["branch"])]
            if match["last"] and 0 < int(match["last"]) - int(match["number"]) <= _LONGEST_RANGE:
                articles += [
                    article_label(str(n), None) for n in range(int(match["number"]) + 1, int(match["last"]) + 1)
                ]
        elif match["previous"]:
            articles = [previous] if previous else []
        elif match["named"]:
            articles, end = [None], match.end()
        else:
            continue
        for found in articles:
            if current and (current, found) != (work, article):
                yield current, found


def _above(work: str | None, word: str) -> str | None:
    if not work or not act_above(work) or word == "규칙":
        return work
    if word == "영":
        return f"{act_above(work)} 시행령"
    return act_above(work)
