"""What a question asks for: its content terms and the kind of value that would answer it."""

from __future__ import annotations

import re
from collections.abc import Set
from dataclasses import dataclass

from llmflow import korean

_VERB_WEIGHT = 0.4
_WEAK_WEIGHT = 0.3

# Words that ask rather than name. Latin ones are stems.
_ASKING = frozenset(
    "며칠 얼마 얼마나 언제 누구 무엇 어디 어느 어떻 어떠하 어떤 왜 몇 알리 말하 설명 말씀 묻 궁금 질문 답변 문의 하 되 있 없 이 않 대하"
    " 관하 따르 의하 위하 통하 경우 때 것 수 중 시 등 후 전 가요 무슨 여부 부탁 보 주 받 가 나오 싶 모르 그렇 이렇"
    " how mani much what which who whom whose when where whi doe do did is are was were can could should would shall may must"
    " i me my we us our you your he she they them have has had ani some there tell about from get got explain describ pleas"
    " a an the of to in on at for with by and or if be been am it this that these those so as than then up out per us also".split()
)
_WEAK = frozenset(
    "방법 이유 절차 내용 의미 뜻 정도 종류 기준 가능 필요 사람 회사 우리 저희 직원 사원 제도 규정 정책 관련 사용 이용 하나 주요 특징 차이"
    " 비교 목적 역할 이름 명칭 단어 사실 생각 경우 상황 문제 부분 결과 대상 언급 주장 발표 당시 사건"
    " compani employe polici rule need use make take happen name kind type way thing mean differ between give allow".split()
)

_NUMERAL = r"(?:\d|[한두세네]\s?|[일이삼사오육칠팔구십백천만억]+\s?|다섯|여섯|일곱|여덟|아홉|열)"
_DATE = (
    r"\d+\s*(?:년|월|일|시|분|주|개월|분기)|[월화수목금토일]요일|매년|매월|매주|매일|분기|말일|이내|까지|즉시|당일|전날"
    r"|\d{1,2}:\d\d|\b(?:19|20)\d\d\b|(?:mon|tues|wednes|thurs|fri|satur|sun)day"
    r"|\b(?:january|february|march|april|may|june|july|august|september|october|november|december)\b"
    r"|\b(?:within|before|after|by|every|until|at least)\b[^.]{0,20}\b(?:\d+|\w+)\s*(?:days?|weeks?|months?|years?|hours?)"
)
_MONEY = r"\d[\d,.]*\s*(?:[천백십]?[만억조]?\s*원|달러|유로|%|퍼센트|프로|배)|[$€£₩]\s?\d|\b\d[\d,.]*\s*(?:krw|usd|won|dollars?|euros?|percent)"
_ROLE = (
    r"[가-힣]+(?:팀|부서|본부|센터|위원회|담당자?|책임자|부장|팀장|대표|이사|관리자|그룹|처|과장|실장|장관|총리|대통령)"
    r"|\b(?:team|manager|department|officer|director|desk|lead|head|committee|supervisor)\b"
)
_PLACE = r"[가-힣]+(?:시|도|구|동|군|읍|면|층|호|역|실|관|청|사이트|포털|시스템|게시판)\b|https?://|www\.|\b(?:room|floor|building|portal|office|site)\b"
_REASON = r"때문|위하여|위해|따라서|이유|원인|목적|므로|으로 인해|\b(?:because|due to|since|so that|in order to|reason|therefore)\b"

_ASKED: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(asked, re.IGNORECASE), wanted)
    for asked, wanted in (
        (r"며칠|몇\s*일", _NUMERAL + r"+\s*일"),
        (r"몇\s*년|몇\s*해", r"\d+\s*년"),
        (r"몇\s*(?:월|달|개월)", r"\d+\s*(?:월|개월|달)|\d+월"),
        (r"몇\s*시간|얼마나 오래|얼마\s*동안", r"\d+\s*(?:시간|분|일|주|개월|년)"),
        (r"몇\s*시", r"\d+\s*시|\d{1,2}:\d\d"),
        (r"몇\s*(?:퍼센트|%|프로)|비율|이율|세율|요율", r"\d\s*(?:%|퍼센트|프로)|\d+분의"),
        (r"얼마|금액|한도|요금|가격|비용|연봉|수당|급여", _MONEY),
        (r"몇\s*(?:번|회|차례)", _NUMERAL + r"+\s*(?:회|번|차례)"),
        (r"몇\s*(?:명|사람|인)", _NUMERAL + r"+\s*(?:명|인|사람)"),
        (r"몇|개수|자릿?수|몇 자", _NUMERAL + r"+\s*[가-힣%]|\d"),
        (r"언제|시기|기한|마감|날짜|일자|기간|주기|연도|시점", _DATE),
        (r"\bhow (?:many|much|long|often|far|old|large|big|high)\b|\b(?:rate|limit|amount|percentage|maximum|minimum)\b", r"\d"),
        (r"\bwhen\b|\bdeadline\b|\bwhat (?:date|day|time|year|month)\b|\bdue\b", _DATE),
        (r"누구|누가|담당|책임자|결재|승인권|\bwho(?:m|se)?\b|\bapprov", _ROLE),
        (r"어디|장소|위치|\bwhere\b", _PLACE),
        (r"왜|이유|원인|\bwhy\b|\breason\b", _REASON),
    )
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Question:
    """``terms``: weight by content term. ``wanted``: what the asked kind of value looks like."""

    text: str
    terms: dict[str, float]
    wanted: re.Pattern[str] | None


def read_question(text: str) -> Question:
    """Analyse a question; one without any content word has no terms."""
    verbs = {token.form for token in korean.tagger().tokenize(text) if token.tag.startswith(("VV", "VA"))}
    terms: dict[str, float] = {}
    for sentence in next(korean.analyze([text])):
        for word in sentence.words:
            if not is_content(word):
                continue
            terms[word] = _WEAK_WEIGHT if word in _WEAK else _VERB_WEIGHT if word in verbs else 1.0
    wanted = next((pattern for asked, pattern in _ASKED if asked.search(text)), None)
    return Question(text, terms, re.compile(wanted, re.IGNORECASE) if wanted else None)


def match(term: str, grams: Set[str], words: Set[str]) -> float:
    """How far a term occurs in a text, in [0, 1]: fully, or a Korean compound in part."""
    if term in words or term in grams:
        return 1.0
    if len(term) < 3 or not korean.has_hangul(term):
        return 0.0
    share = sum(term[i : i + 2] in grams for i in range(len(term) - 1)) / (len(term) - 1)
    return share if share >= 0.5 else 0.0


def is_content(word: str) -> bool:
    """Whether a word of :mod:`llmflow.korean`'s word stream names something."""
    return word not in _ASKING and (len(word) > 1 or word.isdigit() or korean.has_hangul(word))
