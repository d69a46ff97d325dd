"""What a question asks for: its content terms and the kind of value that would answer it."""

from __future__ import annotations

import re
from collections.abc import Set
from dataclasses import dataclass
from typing import Final

from llmflow import korean
from llmflow.generation.wanted import wanted_value

# Words that ask rather than name, as llmflow.korean writes them (Latin words are stems).
_ASKING: Final = frozenset(
    """
    며칠 얼마 얼마나 언제 누구 무엇 어디 어느 어떻 어떠하 어떤 왜 몇 무슨 알리 말하 설명 말씀 묻 궁금 질문 답변 문의
    부탁 하 되 있 없 이 않 대하 관하 따르 의하 위하 통하 경우 때 것 수 중 시 등 후 전 여부 보 주 받 가 나오 싶 모르
    그렇 이렇 how mani much what which who whom whose when where whi doe do did is are was were can could should would
    shall may must i me my we us our you your he she they them have has had ani some there tell about from get got
    explain describ pleas a an the of to in on at for with by and or if be been am it this that these those so as than
    then up out per also
    """.split()  # noqa: SIM905
)
# Words that would not tell one document of an organisation from another, or only repeat the kind of value asked for.
_WEAK: Final = frozenset(
    """
    방법 이유 절차 내용 의미 뜻 정도 종류 기준 가능 필요 사람 회사 우리 저희 직원 사원 임직원 제도 규정 정책 관련
    사용 이용 하나 주요 특징 차이 비교 목적 역할 이름 명칭 단어 사실 생각 상황 문제 부분 결과 대상 언급 주장 발표 당시
    사건 사내
    요금 비용 가격 금액 단가 한도 최대 최소 상한 시간 기간 기한 날짜 시기 일수 횟수 개수 하루 일주일 한달 개월 매달 동안
    compani employe staff polici rule need use make take happen name kind type way thing mean differ between give allow
    cost price amount fee limit maximum minimum number time date day week month year long
    """.split()  # noqa: SIM905
)
_NAME_WEIGHT = 2.0
_VERB_WEIGHT = 0.4
_WEAK_WEIGHT = 0.3
_ACRONYM = re.compile(r"\b[A-Z]{2,}\b")
_YEAR = re.compile(r"(?:19|20)\d\d")


@dataclass(frozen=True, slots=True)
class Question:
    """``terms``: weight by content term. ``wanted``: what the asked kind of value looks like."""

    text: str
    terms: dict[str, float]
    wanted: re.Pattern[str] | None


def read_question(text: str) -> Question:
    """Analyse a question; one without any content word has no terms.

    Names and years weigh most: a passage that lacks the one asked about rarely answers
    (KorQuAD: a proper noun is missing in 0.6 % of the passages that answer, in 41 % of others).
    """
    tags = {token.form: token.tag.partition("-")[0] for token in korean.tagger().tokenize(text)}
    names = {run.lower() for run in _ACRONYM.findall(text)}
    mostly_korean = korean.has_hangul(text)
    terms: dict[str, float] = {}
    for sentence in next(korean.analyze([text])):
        words = [word for word in sentence.words if is_content(word)]
        for word in words:
            compounds = _compounds(word, sentence) if _is_syllable(word) else []
            terms |= dict.fromkeys(compounds, 1.0) or {word: _weight(word, tags.get(word, ""), names, mostly_korean)}
    return Question(text, terms, wanted_value(text))


def _compounds(syllable: str, sentence: korean.Sentence) -> list[str]:
    """Words of two syllables that the tagger took apart ("식비" as 식 + 비), found as grams."""
    longer = "".join(word for word in sentence.words if len(word) > 1)
    return [
        gram
        for gram in sentence.grams
        if len(gram) == 2 and syllable in gram and not any(other in longer for other in gram if other != syllable)
    ]


def _is_syllable(word: str) -> bool:
    return len(word) == 1 and korean.has_hangul(word)


def _weight(word: str, tag: str, names: Set[str], mostly_korean: bool) -> float:
    if word in _WEAK:
        return _WEAK_WEIGHT
    if word[0].isdigit():
        return _NAME_WEIGHT if _YEAR.fullmatch(word) else _VERB_WEIGHT
    if tag.startswith(("VV", "VA", "XR")) or _is_syllable(word):
        return _VERB_WEIGHT
    if tag == "NNP" or word in names or (mostly_korean and not korean.has_hangul(word)):
        return _NAME_WEIGHT
    return 1.0


def is_content(word: str) -> bool:
    """Whether a word of :mod:`llmflow.korean`'s word stream names something."""
    return word not in _ASKING and (len(word) > 1 or word.isdigit() or korean.has_hangul(word))


def match(term: str, grams: Set[str], words: Set[str]) -> float:
    """How far a term occurs in a text, in [0, 1]: fully, or a Korean compound in part."""
    if term in words or term in grams:
        return 1.0
    if len(term) < 3 or not korean.has_hangul(term):
        return 0.0
    share = sum(term[i : i + 2] in grams for i in range(len(term) - 1)) / (len(term) - 1)
    return share if share >= 0.5 else 0.0
