"""Korean follow-up questions, by rule: whether a question leans on the one before, and what it then means.

Four ways of leaning, each with its repair:

- a demonstrative ("그건 언제까지…", "이 경우…", "거기는…"): it is replaced by the topic before;
- an elliptical question ("해외는요?", "3년이면요?"): it replaces its counterpart in the question before;
- a counterpart asked in full ("병가는 며칠인가요?" after one about 연차휴가): the same;
- no topic at all ("누가 승인하나요?"): the topic before goes in front.
"""

from __future__ import annotations

import re
from typing import Final

from llmflow.conversation.counterparts import KOREAN_SETS, same_set
from llmflow.conversation.eojeols import GENERIC, Word, fitting_particle, read_words

_OPENER = re.compile(
    r"^(?:(?:아|음|네|예|아하)[,\s]+)?(?:그럼|그러면|그렇다면|그런데|근데|그리고|그래서|하지만|반대로|아니면|또는?|또한|혹시)[,\s]+"
)
_CASE = re.compile(
    r"(?:그런|이런|그|이|해당|위(?:의)?|앞의)\s*(?:경우|때|상황|조건)(?P<particle>에는|에도|에|는|엔|도)?(?=\s|[?.,]|$)"
)
_SO = re.compile(r"^(?:그렇게|이렇게|그러다(?:가)?|그래도|그렇더라도)\s+")
_POINTER = re.compile(
    r"(?<![가-힣])(?:(?P<short>그건|이건|그게|이게|그걸|이걸|거긴|여긴)"
    r"|(?P<pronoun>그것|이것|그거|이거|거기|여기|그곳|이곳|그쪽)(?P<particle>[가-힣]*)"
    r"|(?P<determiner>그|이|해당|위의|앞의|저)\s+(?P<noun>[가-힣A-Za-z]+))"
)
_AMONG = re.compile(r"^(?:그|이)\s?중(?:에서?|에는|엔)?\s+")
_SHORT: Final = {"건": "은", "게": "이", "걸": "을", "긴": "은"}
_NO_POINTING: Final = frozenset({"밖", "외", "중", "사이", "안", "후", "전", "다음", "날"})
_POLITE_END = re.compile(r"(?:은|는|면|도|때|만|에서|로|까지|부터|경우)요$")
_PLAIN_END = re.compile(r"(?:은|는|면|도)$")
_ENDING = re.compile(r"(?:은|는|도)?요?\s*[?？.]*$")


def stand_alone(question: str, before: str) -> str | None:
    """What a question means after ``before``, a question that stands alone; None if it needs nothing."""
    opener = _OPENER.match(question)
    bare = question[opener.end() :] if opener else question
    words = read_words(bare)
    topic = _topic(before)
    if not topic:
        return None
    if (found := _CASE.search(bare)) is not None:
        return f"{bare[: found.start()]}{_case(before, topic)}{found['particle'] or ''}{bare[found.end() :]}"
    if (found := _AMONG.match(bare)) is not None:
        return f"{topic} 중 {bare[found.end() :]}"
    if (found := _SO.match(bare)) is not None:
        return f"{_head(before, topic)} {bare[found.end() :]}"
    if (pointed := _pointed(bare, before, topic)) is not None:
        return pointed
    content = [word for word in words if word.content]
    if _elliptical(words, opener is not None):
        return _elliptical_meaning(bare, words, before, topic)
    if not content:
        leads = bool(words) and bool(words[0].noun) and not words[0].asks and not words[0].predicate
        return f"{topic if leads else _head(before, topic)} {bare}"
    if len(content) == 1 and _is_bare_value(words, content[0]):
        return _substituted(before, [content[0].noun])
    if len(content) == 1 and content[0].noun not in before and (opener or content[0].plain == f"{content[0].noun}도"):
        return f"{topic} {bare}"
    return None


def _topic(question: str) -> str:
    """The nouns of a question that name something, with generic ones that they lead to ("숙박비 한도")."""
    kept: list[str] = []
    counted = False  # "몇 시간까지": what is counted is not what it is about
    for word in read_words(question):
        generic = bool(kept) and bool(word.noun) and not word.predicate and not word.asks and not counted
        if word.content or (generic and word.noun in GENERIC):
            kept.append(word.noun)
        counted = word.asks
    return " ".join(dict.fromkeys(kept))


def _head(question: str, topic: str) -> str:
    """A question up to its question word ("법인카드를 잃어버리면"), or its topic as a topic."""
    words = read_words(question)
    asking = next((index for index, word in enumerate(words) if word.asks), 0)
    return question[: words[asking - 1].end] if asking else f"{topic}{fitting_particle(topic, '은')}"


def _case(question: str, topic: str) -> str:
    conditional = [word for word in read_words(question) if word.conditional]
    return f"{question[: conditional[-1].end]} 그때" if conditional else f"{topic}의 경우"


def _pointed(bare: str, before: str, topic: str) -> str | None:
    """With its first demonstrative replaced by the topic."""
    for found in _POINTER.finditer(bare):
        if found["short"]:
            named, particle = topic, _SHORT[found["short"][-1]]
        elif found["pronoun"]:
            named, particle = topic, found["particle"]
        else:
            (noun,) = read_words(found["noun"])
            if not noun.noun or noun.noun in _NO_POINTING or found["noun"] in _NO_POINTING:
                continue
            named = topic if topic.endswith(noun.noun) else f"{topic} {noun.noun}"
            particle = found["noun"][len(noun.noun) :]
        return f"{bare[: found.start()]}{named}{fitting_particle(named, particle)}{bare[found.end() :]}"
    return None


def _elliptical(words: list[Word], opened: bool) -> bool:
    """Whether the question has no predicate of its own ("해외는요?"), and few words."""
    if not words or any(word.asks for word in words) or (words[-1].predicate and not words[-1].conditional):
        return False
    if _POLITE_END.search(words[-1].plain) or words[-1].plain == f"{words[-1].noun}요":
        return sum(word.content for word in words) <= 3
    return _PLAIN_END.search(words[-1].plain) is not None and sum(bool(word.noun) for word in words) <= 1 + 2 * opened


def _elliptical_meaning(bare: str, words: list[Word], before: str, topic: str) -> str | None:
    if words[-1].conditional:
        return _conditional_meaning(re.sub(r"요?\s*[?？.]*$", "", bare), before)
    nouns = [word.noun for word in words if word.noun]
    if not any(word.content for word in words) and not re.search(r"\d", bare):
        return f"{topic} {bare}"
    if (substituted := _substituted(before, nouns)) is not None:
        return substituted
    named = _ENDING.sub("", bare)
    plain = bool(words[-1].noun) and named.endswith(words[-1].noun) and words[-1].noun not in ("때", "경우", "후")
    return f"{named}{'의 경우' if plain else ''} {before}"


def _conditional_meaning(condition: str, before: str) -> str:
    """A new condition in the place of the old one."""
    conditionals = [word for word in read_words(before) if word.conditional]
    if not conditionals:
        return f"{condition} {before}"
    clause, rest = before[: conditionals[-1].end], before[conditionals[-1].end :]
    number = re.match(r"(?:만\s*)?\d[\d,.]*\s*(?P<unit>[가-힣]+?)(?:이면|이라면|면)?$", condition)
    if number:
        first = re.search(rf"(?:만\s*)?\d[\d,.]*\s*{re.escape(number['unit'][:1])}", clause)
        return f"{clause[: first.start()] if first else ''}{condition}{rest}"
    return f"{condition}{rest}"


def _is_bare_value(words: list[Word], content: Word) -> bool:
    """ "병가는 며칠인가요?": one noun and a question word, nothing else to go by."""
    others = [word for word in words if word is not content]
    return all(word.asks or (not word.noun and word.predicate) for word in others) and any(word.asks for word in words)


def _substituted(before: str, nouns: list[str]) -> str | None:
    """``before`` with every noun in the place of its counterpart; None where one has none."""
    text = before
    for noun in nouns:
        if noun in text:
            continue
        counterpart = next((word for word in read_words(text) if _are_counterparts(noun, word)), None)
        if counterpart is None:
            return None
        tail = counterpart.text[len(counterpart.noun) :]
        replaced = f"{noun}{fitting_particle(noun, tail)}"
        text = f"{text[: counterpart.start]}{replaced}{text[counterpart.end :]}"
    return text if text != before else None


def _are_counterparts(noun: str, word: Word) -> bool:
    """Of one closed set (국내, 해외), or made with the same last syllable (숙박비, 식비)."""
    if not word.noun or word.noun == noun:
        return False
    if same_set(noun, word.noun, KOREAN_SETS):
        return True
    numbers = [re.fullmatch(r"(?:만\s*)?\d[\d,.]*(?P<unit>\D*)", text) for text in (noun, word.noun)]
    if all(numbers):
        return numbers[0]["unit"] == numbers[1]["unit"]  # type: ignore[index]
    return word.content and noun not in GENERIC and min(len(noun), len(word.noun)) > 1 and noun[-1] == word.noun[-1]
