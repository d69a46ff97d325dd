"""Masking as a whole: placeholders, spans, policy, batches, stability."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from llmflow.errors import ConfigurationError
from llmflow.pii import ENTITY_TYPES, Masker
from llmflow.pii.masker import resolve
from llmflow.schema import PiiEntity
from llmflow.settings import PiiSettings

LETTER = """수신: 민원인 정다은 귀하
제목: 지원금 지급 안내

1. 신청인: 정다은 (1991년 3월 27일생, 910327-2345678)
   주소: 서울특별시 마포구 양화로 45, 301호
   연락처: 010-2345-6789 / dana.jung@example.com
2. 지급 계좌: 국민은행 123456-04-123456 (예금주 정다은)
3. 근거: 「긴급복지지원법」 제9조 및 같은 법 시행령 제4조 <개정 2023.3.14>
문의: 복지정책과 한재욱 주무관 (전화 02-345-6789, 팩스 02-345-6780). 끝."""

MIXED = """Dear Alice,
배송지는 경기도 수원시 영통구 광교로 107, 수령인: 박도윤 (010-8765-4321).
Invoice to 742 Evergreen Terrace, Springfield, IL 62704; card 4111 1111 1111 1111.
감사합니다. / Best regards,
Bob Dylan, bob@example.org"""


@pytest.fixture(scope="module")
def masker() -> Masker:
    return Masker(PiiSettings())


def test_official_letter(masker: Masker) -> None:
    assert masker.mask(LETTER).text == (
        """수신: 민원인 [PERSON] 귀하
제목: 지원금 지급 안내

1. 신청인: [PERSON] ([DATE_OF_BIRTH], [KR_RRN])
   주소: [ADDRESS]
   연락처: [PHONE_NUMBER] / [EMAIL]
2. 지급 계좌: 국민은행 [BANK_ACCOUNT] (예금주 [PERSON])
3. 근거: 「긴급복지지원법」 제9조 및 같은 법 시행령 제4조 <개정 2023.3.14>
문의: 복지정책과 [PERSON] 주무관 (전화 [PHONE_NUMBER], 팩스 [FAX_NUMBER]). 끝."""
    )


def test_mixed_languages_need_no_setting(masker: Masker) -> None:
    assert masker.mask(MIXED).text == (
        """Dear [PERSON],
배송지는 [ADDRESS], 수령인: [PERSON] ([PHONE_NUMBER]).
Invoice to [ADDRESS]; card [CREDIT_CARD].
감사합니다. / Best regards,
[PERSON], [EMAIL]"""
    )


@pytest.mark.parametrize("text", [LETTER, MIXED])
def test_entities_are_spans_of_the_original(masker: Masker, text: str) -> None:
    masked = masker.mask(text)
    rebuilt, position = "", 0
    for entity in masked.entities:
        assert position <= entity.start < entity.end <= len(text)
        assert 0.4 <= entity.score <= 1
        rebuilt += text[position : entity.start] + f"[{entity.type}]"
        position = entity.end
    assert rebuilt + text[position:] == masked.text


@pytest.mark.parametrize(
    "text", [LETTER, MIXED, "김민재 사무관과 이서연, 계좌 110-123-456789", "조성겸과 옥현수, 캔디 고 씨(한국명 고현주)"]
)
def test_masking_twice_changes_nothing(masker: Masker, text: str) -> None:
    once = masker.mask(text).text
    again = masker.mask(once)
    assert again.text == once
    assert again.entities == ()


def test_placeholders_alone_are_left_in_peace(masker: Masker) -> None:
    text = " ".join(f"담당자: [{name}] 과장, 계좌 [{name}]" for name in ENTITY_TYPES)
    assert masker.mask(text).text == text


def test_policy_keeps_a_type(masker: Masker) -> None:
    keeping = Masker(PiiSettings(policy={"PERSON": "keep", "EMAIL": "mask"}))
    masked = keeping.mask("담당자 홍길동 과장, hong@example.com")
    assert masked.text == "담당자 홍길동 과장, [EMAIL]"
    assert [entity.type for entity in masked.entities] == ["EMAIL"]
    assert [entity.type for entity in keeping.find("담당자 홍길동 과장")] == ["PERSON"]


def test_unknown_entity_in_the_policy_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"NAME.*allowed: ADDRESS, BANK_ACCOUNT") as caught:
        Masker(PiiSettings(policy={"NAME": "keep"}))
    assert caught.value.param == "pii.policy"


def test_threshold_drops_weak_findings() -> None:
    text = "카드 4111-1111-1111-1112, 메일 a@example.com"
    assert Masker(PiiSettings(threshold=0.9)).mask(text).text == "카드 4111-1111-1111-1112, 메일 [EMAIL]"


def test_disabled_masks_nothing(masker: Masker) -> None:
    masked = Masker(PiiSettings(enabled=False)).mask(LETTER)
    assert (masked.text, masked.entities) == (LETTER, ())


def test_mask_many_equals_mask(masker: Masker) -> None:
    texts = [LETTER, "", MIXED, "개인정보가 없는 문장입니다.", "no personal data", LETTER * 2]
    assert masker.mask_many(texts) == [masker.mask(text) for text in texts]
    assert masker.mask_many([]) == []


def test_threads_share_a_masker(masker: Masker) -> None:
    texts = [f"담당자 {name} 과장 010-1234-{number:04d}" for number in range(50) for name in ("홍길동", "이서연")]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(masker.mask, texts)) == masker.mask_many(texts)


def test_overlapping_findings_become_one_that_covers_all() -> None:
    found = [
        PiiEntity("PHONE_NUMBER", 5, 17, 0.75),
        PiiEntity("BANK_ACCOUNT", 0, 12, 0.6),
        PiiEntity("EMAIL", 20, 30, 0.9),
        PiiEntity("PERSON", 20, 23, 0.9),
    ]
    assert resolve(found) == [PiiEntity("PHONE_NUMBER", 0, 17, 0.75), PiiEntity("EMAIL", 20, 30, 0.9)]


def test_long_hostile_input_stays_linear(masker: Masker) -> None:
    for piece in ("가", "1-", "a", "Aa ", "김민수(", "성명: ", "+1", "12 Aa ", "서울 강남구 "):
        masker.mask(piece * 3000)


def test_import_is_cheap() -> None:
    code = "import sys, llmflow.pii, llmflow.settings as s; llmflow.pii.Masker(s.PiiSettings()); "
    code += "print([name for name in ('presidio_analyzer', 'kiwipiepy', 'spacy') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
