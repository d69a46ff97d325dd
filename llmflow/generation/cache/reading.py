"""What a question says, apart from how it is said.

Vectors alone cannot tell "30일 전까지" from "30일 후까지", or one name from another in a long
question. So a question is read as its *marks*: runs of nouns, numbers, Latin words, verbs,
question words, negations, and the particles and endings that change the meaning, in order.
Politeness, sentence endings, spacing, punctuation, and particles that come and go freely leave no
mark. Light words (하다, 되다, 경우, articles, ...) are told apart: they may differ as far as the
similarity of the whole allows.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Final

from llmflow.korean import has_hangul, normalize, tagger
from llmflow.retrieval.analysis import find_references

_SUBJECT, _OBJECT, _TOPIC = "<이>", "<을>", "<은>"
_ARGUMENTS: Final = {
    "이/JKS": _SUBJECT, "가/JKS": _SUBJECT, "께서/JKS": _SUBJECT, "을/JKO": _OBJECT, "를/JKO": _OBJECT,
    "ᆯ/JKO": _OBJECT, "은/JX": _TOPIC, "는/JX": _TOPIC, "ᆫ/JX": _TOPIC,
}  # fmt: skip

# What follows works on kiwi's tokens as text, " form/tag form/tag".
_END = r"(?: \S+/(?:E[PFC]|S[FPEW]|JX|VX))*"
_SAY = "(?:말|말씀|설명|안내|답변|답|대답|질문|문의)/NNG(?: [을를]/JKO)?(?: [좀꼭]/MAG)?"
_GREETING = re.compile(rf"^ (?:안녕/\w+(?: 하/XSA)?|저기/\w+ 요/\w+){_END}")
_REQUEST = re.compile(
    rf"(?: (?:(?:(?:알리|가르치|말하)/VV|{_SAY} 하/XSV) (?:어/EC 주/VX|어/EF)"
    rf"|{_SAY}(?: 부탁/NNG)? (?:드리|바라)/\S+|{_SAY} 부탁/NNG(?: 하/XSV)?"
    r"|궁금하/VA|궁금/XR 하/XSA|알/VV 고/EC 싶/VX|알/VV ᆯ/ETM 수/NNB 있/V[AX]"
    rf"|감사/NNG 하/XS[AV]|감사하/V[AV]|고맙/VA(?:-I)?){_END})+$"
)
_REWRITES: Final = (
    (_GREETING, ""),
    (_REQUEST, ""),
    (re.compile(r" (?:는|ᆫ|은|ᆯ|을)/ETM 지/NNB$"), ""),
    (re.compile(r" ᆯ/ETM 수/NNB 있/V[AX]| [어아여]도/EC (?:되/VV|괜찮/VA|좋/VA)"), " 가능/NNG"),
    (re.compile(r" 제/XPN(?= \d+/SN [조항호목장절편]/)"), ""),
)

_NOUNS: Final = frozenset({"NNG", "NNP", "NNB", "NP", "NR", "XR", "XPN", "XSN", "SH", "MM"})
_SILENT_TAGS: Final = frozenset({"EF", "ETN", "JKG", "JKC", "JKV", "VCP", "SF", "SP", "SE", "SB", "SS", "SSO", "SSC"})
_SILENT: Final = frozenset(
    """
    도/JX 요/JX 이야/JX 야/JX 란/JX 이란/JX 에/JKB 시/EP 하/XSV 하/XSA 좀/MAG 혹시/MAG 주/VX 보/VX 하/VX
    어/EC 아/EC 지/EC 고/EC 나/EC 는지/EC ᆫ지/EC 은지/EC ᆯ지/EC 을지/EC 는데/EC ᆫ데/EC 은데/EC ᆫ가/EC 는가/EC
    """.split()  # noqa: SIM905
)
_LIGHT: Final = frozenset(
    """
    하/VV 되/VV 있/VA 있/VV 있/VX 대하/VV 관하/VV 때/NNG 경우/NNG 것/NNB 거/NNB 지/NNB 점/NNB 저/NP 나/NP 저희/NP
    우리/NP
    """.split()  # noqa: SIM905
)
_FORMS: Final = {
    "안/MAG": "않/VX", "못하/VX": "못/MAG", "못하/VV": "못/MAG",
    "뭐/NP": "무엇/NP", "뭐/IC": "무엇/NP", "뭣/NP": "무엇/NP", "얼마나/MAG": "얼마/NNG", "며칠/NNG": "몇일/NNG",
    "누/NP": "누구/NP", "어떠하/VA": "어떻/VA", "어떡하/VV": "어떻/VA",
    "으로/JKB": "로/JKB", "와/JKB": "과/JKB", "와/JC": "과/JKB", "과/JC": "과/JKB", "이랑/JC": "과/JKB",
    "랑/JC": "과/JKB", "하고/JC": "과/JKB", "나/JC": "이나/JC", "한테/JKB": "에게/JKB", "께/JKB": "에게/JKB",
    "한테서/JKB": "에게서/JKB", "서/JKB": "에서/JKB", "으로서/JKB": "로서/JKB", "으로써/JKB": "로써/JKB",
    "으면/EC": "면/EC", "으려면/EC": "려면/EC", "으려고/EC": "려고/EC", "아야/EC": "어야/EC", "여야/EC": "어야/EC",
    "았/EP": "었/EP", "였/EP": "었/EP", "을/ETM": "ᆯ/ETM", "은/ETM": "ᆫ/ETM",
}  # fmt: skip
"""One form for the forms of a word."""

_ACTION = re.compile(r"/(?:VV|XSV)(?: |$)")

_ENGLISH_WORD = re.compile(r"[^\W\d_]+|\d+(?:[.,]\d+)*|[^\s\w.,;:?!'\"()\[\]{}…‘’“”]")
_ENGLISH_REQUEST = re.compile(
    r"^(?:(?:hi|hello|hey|please|so)\b[,!. ]*)*(?:(?:(?:can|could|would|will) you (?:please )?)?tell me\b|do you know\b"
    r"|(?:i want|i'd like|i would like) to know\b)?(?: please)?|(?:[,. ]*\b(?:please|thanks|thank you)[.!? ]*)+$",
    re.IGNORECASE,
)
_CONTRACTIONS: Final = (
    (re.compile(r"\bcan't\b", re.IGNORECASE), "can not"),
    (re.compile(r"\bwon't\b", re.IGNORECASE), "will not"),
    (re.compile(r"n't\b", re.IGNORECASE), " not"),
    (re.compile(r"'(?:s|re|m)\b", re.IGNORECASE), " is"),
)
_ENGLISH_FORMS: Final = {"can": "may", "could": "may", "cannot": "may|not"}
_ENGLISH_LIGHT: Final = frozenset("a an the please is are be do does there i we you my our your".split())  # noqa: SIM905

_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")


@dataclass(frozen=True, slots=True)
class Reading:
    """``marks`` must be equal in two questions with one answer; ``light`` words may differ a little."""

    marks: str
    light: tuple[str, ...]


def read(question: str) -> Reading:
    """Read a question; one that says nothing (a greeting) has no marks."""
    text = _THOUSANDS.sub("", unicodedata.normalize("NFKC", normalize(question)))
    marks, light = _read_korean(text) if has_hangul(text) else _read_english(text)
    references = "".join(f"<{article}>" for _, article in find_references(text))
    return Reading(marks and marks + references, light)


def _read_korean(text: str) -> tuple[str, tuple[str, ...]]:
    tokens = "".join(
        f" {''.join(token.form.split())}/{token.tag.partition('-')[0]}"
        for token in tagger().tokenize(text, normalize_coda=True)
    )
    for pattern, replacement in _REWRITES:
        tokens = pattern.sub(replacement, tokens)
    marks: list[str] = []
    light: list[str] = []
    for token in (_FORMS.get(token, token) for token in tokens.split()):
        form, _, tag = token.rpartition("/")
        if token in _LIGHT:
            light.append(form)
        elif token in _ARGUMENTS:
            marks.append(_ARGUMENTS[token])
        elif tag in _NOUNS:
            # Without borders, so that "재택 근무" and "재택근무" are the same.
            marks.append(form)
        elif token not in _SILENT and tag not in _SILENT_TAGS:
            marks.append(f"|{form.lower()}|")
    return "".join(_with_roles(marks, acts=_ACTION.search(tokens) is not None)), tuple(light)


def _with_roles(marks: list[str], *, acts: bool) -> list[str]:
    """Who does what to whom: told by particles where several stand by a verb, otherwise plain."""
    roles = [mark for mark in marks if mark in _ARGUMENTS.values()]
    if len(roles) < 2 or not acts:
        return [mark for mark in marks if mark not in roles]
    if _SUBJECT not in roles:
        return [_SUBJECT if mark == _TOPIC else mark for mark in marks]
    return marks


def _read_english(text: str) -> tuple[str, tuple[str, ...]]:
    text = text.replace("’", "'")
    for pattern, replacement in _CONTRACTIONS:
        text = pattern.sub(replacement, text)
    marks: list[str] = []
    light: list[str] = []
    for position, written in enumerate(_ENGLISH_WORD.findall(_ENGLISH_REQUEST.sub("", text))):
        word = written.lower()
        # The "A" of "plan A" is no article.
        if word in _ENGLISH_LIGHT and (written != "A" or position == 0):
            light.append(word)
        else:
            marks.append(f"|{_ENGLISH_FORMS.get(word, word)}|")
    return "".join(marks), tuple(light)
