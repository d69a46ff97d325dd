"""Query analysis: normalise, split into token streams, find statute references."""

from __future__ import annotations

import re
from dataclasses import dataclass

from llmflow.errors import InvalidInputError
from llmflow.korean import AnalyzedText, analyze, has_hangul, normalize
from llmflow.schema import Query

MAX_QUERY_CHARACTERS = 8_000
_ARTICLE = re.compile(
    r"제?\s*(?P<number>\d{1,4})\s*조(?:\s*의\s*(?P<branch>\d{1,3}))?"
    # What may follow: no Hangul or the first syllable of a particle ("제1조건" is no article, "3조 원" an amount).
    r"(?!(?:\s*[\d,]+\s*[천백십만억]+)*\s*원)(?=[^가-힣]|$|[에의를을은는이가와과로상및부까도만제란라])"
)
_LAW_WORD = re.compile(
    r"(?P<name>.*(?:법|법률|령|규칙|규정|조례|헌법|지침|강령|내규|세칙|정관|약관))(?:의|상|에|은|는|이|을|를|과|와)?"
)
_SAME_LAW = re.compile(r"(?:[\s,·ㆍ、~및와과의]|또는|내지|부터|제?\s*\d+\s*[항호목])*")
_MAX_LAW_WORDS = 10


@dataclass(frozen=True, slots=True)
class AnalyzedQuery:
    """A question and its sentences with token streams."""

    query: Query
    text: AnalyzedText


def analyze_query(text: str) -> AnalyzedQuery:
    """Analyse a question.

    Raises:
        InvalidInputError: it is empty or longer than 8,000 characters.
    """
    normalized = normalize(text)
    if not normalized:
        raise InvalidInputError("the question is empty; ask with at least one word", param="query")
    if len(normalized) > MAX_QUERY_CHARACTERS:
        raise InvalidInputError(
            f"the question has {len(normalized):,} characters; shorten it to {MAX_QUERY_CHARACTERS:,} at most",
            param="query",
        )
    query = Query(normalized, "ko" if has_hangul(normalized) else "en", find_references(normalized))
    return AnalyzedQuery(query, AnalyzedText(tuple(next(analyze([normalized])))))


def find_references(text: str) -> tuple[tuple[str | None, str], ...]:
    """Statute references such as "근로기준법 제60조의2" as (words before it, "제60조의2").

    The words are those that may name the law, up to ten of them and ending in a word that
    names one (법, 규정, ...); None where no such word stands before the article.
    """
    references: dict[tuple[str | None, str], None] = {}
    law, end = None, 0
    for match in _ARTICLE.finditer(text):
        # In "근로기준법 제60조, 제61조" the second article is of the same law.
        if not _SAME_LAW.fullmatch(text[end : match.start()]):
            law = _law_before(text[: match.start()])
        end = match.end()
        if law is not None or match.group().startswith("제"):
            article = f"제{int(match['number'])}조" + (f"의{int(match['branch'])}" if match["branch"] else "")
            references[law, article] = None
    return tuple(references)


def _law_before(text: str) -> str | None:
    words = text.replace("「", " ").replace("」", " ").split()[-_MAX_LAW_WORDS:]
    named = _LAW_WORD.fullmatch(words[-1]) if words else None
    return " ".join([*words[:-1], named["name"]]) if named else None
