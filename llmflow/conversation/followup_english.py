"""English follow-up questions, by rule: whether a question leans on the one before, and what it then means.

Korean's four ways of leaning (:mod:`.followup_korean`) in English: "Can it be carried over?",
"What about abroad?" and "And after five years?", "What if I lose it?", "Who approves?".
"""

from __future__ import annotations

import re
from typing import Final

from llmflow.conversation.counterparts import ENGLISH_SETS, same_set

_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9'’.,-]*[A-Za-z0-9]|[A-Za-z0-9]")
_FUNCTION: Final = frozenset(
    """
    a an the of to in on at for with from by as per and or but if so than then also too just only even not no
    yes ok okay is are was were be been am do does did can could may might must shall should will would have
    has had having i you he she we they me my your our us them their his her its it this that these those
    there here one ones what when where who whom whose which why how much many long often far old soon any
    some more less most least other else same such very about into out up down over under between during
    before after within until still yet again please
    """.split()  # noqa: SIM905
)
# Content words of any topic: alone they name none.
_GENERIC: Final = frozenset(
    """
    get gets take takes need needs needed use used give given make makes happen happens apply applies applied
    allowed allow ask tell know say says pay paid cost costs approve approves approval approved request
    requests submit submitted deadline limit limits maximum minimum amount number time times day days week
    weeks month months year years date form forms required require exception exceptions exempt eligible
    extended extend cancel cancelled change changed contact reason rule rules policy company employee
    employees person people work works start starts end ends way thing things case example mean means
    difference expire expires valid count counts charge charged carried carry claim
    """.split()  # noqa: SIM905
)
_OPENER = re.compile(r"^(?:(?:ok(?:ay)?|well|thanks|yes|no)[,\s]+)?(?:and|but|so|then|also|or)[,\s]+", re.IGNORECASE)
_WHAT_ABOUT = re.compile(r"^(?:what|how) about\s+(?P<what>.+?)[?.\s]*$", re.IGNORECASE)
_WHAT_IF = re.compile(r"^what (?:if|when)\s+(?P<what>.+?)[?.\s]*$", re.IGNORECASE)
_ELLIPSIS = re.compile(r"^(?P<what>(?!(?:why|how|what|who|when|where|which)\b)[^?]{1,60}?)[?.\s]*$", re.IGNORECASE)
_ADVERBIAL = re.compile(
    r"(?:for|in|on|at|after|before|during|with|from|when|if|as|under|over|within|up|not|elsewhere|abroad|overseas)\b",
    re.IGNORECASE,
)
_VERB = re.compile(
    r"^(?:is|are|was|were|do|does|did|can|could|may|might|must|shall|should|will|would|have|has|am)\b", re.IGNORECASE
)
_PRONOUN = re.compile(
    r"\b(?P<word>it|its|they|them|their|those|these|this|that|there|ones?(?=[?.\s]*$))\b(?!['’]s\b)", re.IGNORECASE
)
_TIME = re.compile(r"(?:year|month|week|morning|afternoon|quarter|time)\b", re.IGNORECASE)
# What comes before a "that" that points; after any other word it joins a clause.
_BEFORE_THAT: Final = frozenset(
    """
    is was does did do can could will would should may must of for in on at about after before with from to by
    than if when and but or like why how where until during without into over under besides beyond
    """.split()  # noqa: SIM905
)
_DUMMY_IT = re.compile(
    r"\b(?:is|was|would|will|does) it (?:be )?(?:ok|okay|possible|allowed|required|necessary|safe|mandatory|take|cost)"
    r" (?:to|for|that)\b",
    re.IGNORECASE,
)
_EXISTS = re.compile(r"\b(?:is|are|was|were|will|would)\s+there\b", re.IGNORECASE)


def stand_alone(question: str, before: str) -> str | None:
    """What a question means after ``before``, a question that stands alone; None if it needs nothing."""
    topic = _topic(before)
    if not topic:
        return None
    opener = _OPENER.match(question)
    bare = question[opener.end() :] if opener else question
    if (found := _WHAT_ABOUT.match(bare)) is not None:
        return _asked_of(found["what"], before) if len(_content(found["what"])) <= 3 else None
    if (found := _WHAT_IF.match(bare)) is not None and not _names_topic(found["what"]):
        return f"If {found['what']}, about {topic}: {_lower(before)}"
    if _points(bare) and not _names_own(bare):
        return f"About {topic}: {_lower(bare)}"
    if (found := _ELLIPSIS.match(bare)) is not None and _is_fragment(found["what"], opener is not None):
        return _asked_of(found["what"], before)
    if not [word for word in _content(bare) if word not in _GENERIC]:
        return f"About {topic}: {_lower(bare)}"
    return None


def _topic(question: str) -> str:
    """The phrases of a question that name something; small words stay inside a phrase."""
    phrases: list[str] = []
    start = end = -1
    for match in _WORD.finditer(question):
        word = match.group().lower()
        if word not in _FUNCTION:
            start, end = (match.start() if start < 0 else start), match.end()
        elif start >= 0 and word not in ("a", "an", "the", "of", "from", "for", "in", "on", "at", "to", "with", "over"):
            phrases.append(question[start:end])
            start = -1
    if start >= 0:
        phrases.append(question[start:end])
    return ", ".join(phrase for phrase in phrases if any(word not in _GENERIC for word in _content(phrase)))


def _asked_of(what: str, before: str) -> str:
    """The question before, of something else."""
    substituted = _substituted(what, before)
    if substituted is not None:
        return substituted
    lead = what if _ADVERBIAL.match(what) else f"for {what}"
    return f"{lead[0].upper()}{lead[1:]}: {_lower(before)}"


def _substituted(what: str, before: str) -> str | None:
    """With ``what`` in the place of its counterpart: one closed set, one head word, or a number of the same things."""
    words = _WORD.findall(what)
    last = words[-1].lower() if words else ""
    for match in _WORD.finditer(before):
        if len(words) == 1 and same_set(last, match.group().lower(), ENGLISH_SETS):
            return f"{before[: match.start()]}{what}{before[match.end() :]}"
    if len(words) > 1:
        pattern = rf"\b[A-Za-z0-9-]+\s+{re.escape(last)}\b"
        for match in re.finditer(pattern, before, re.IGNORECASE):
            first = match.group().split()[0].lower()
            same_kind = first[0].isdigit() == words[-2][0].isdigit()
            if first not in _FUNCTION and same_kind and words[-2].lower() not in _FUNCTION:
                return f"{before[: match.start()]}{words[-2]} {last}{before[match.end() :]}"
    return None


def _is_fragment(what: str, opened: bool) -> bool:
    """Whether this is no sentence: a few words, none of them a verb that asks."""
    words = _WORD.findall(what)
    subject = any(word.lower() in ("i", "we", "you", "he", "she", "is", "are", "can", "may", "do") for word in words)
    return not _VERB.match(what) and not subject and len(words) <= (6 if opened else 4)


def _points(text: str) -> bool:
    """Whether a pronoun points out of the question."""
    cleaned = _EXISTS.sub(" ", _DUMMY_IT.sub(" ", text))
    for found in _PRONOUN.finditer(cleaned):
        word, rest = found["word"].lower(), cleaned[found.end() :].lstrip()
        before = cleaned[: found.start()].split()
        if word in ("this", "that", "these", "those") and _TIME.match(rest):
            continue
        if word == "that" and before and rest[:1].isalpha() and before[-1].lower() not in _BEFORE_THAT:
            continue
        return True
    return False


def _names_own(text: str) -> bool:
    """Whether a pronoun has something before it in the question itself that it can point to."""
    found = _PRONOUN.search(text)
    if found is None or found["word"].lower() in ("that", "this", "those", "these"):
        return False
    return any(word not in _GENERIC for word in _content(text[: found.start()]))


def _names_topic(text: str) -> bool:
    return len([word for word in _content(text) if word not in _GENERIC]) > 3


def _content(text: str) -> list[str]:
    return [word for word in _WORD.findall(text.lower()) if word not in _FUNCTION and not word.isdigit()]


def _lower(text: str) -> str:
    """For the middle of a sentence; names and acronyms keep their capitals."""
    first = text.split(" ", 1)[0]
    return text if first == "I" or first[1:] != first[1:].lower() else f"{text[0].lower()}{text[1:]}"
