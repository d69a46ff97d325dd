from __future__ import annotations

import random
import unicodedata
from itertools import pairwise

import pytest

from llmflow.korean import Sentence, analyze, count_tokens, normalize, sentences

MIXED = (
    "VPN 연결은 port 443, TLS 1.3을 쓴다. Do not share passwords with anyone! 비밀번호는 90일마다 바꾼다."
    " Running costs are 1,200,000 won."
)


def one(text: str) -> list[Sentence]:
    return next(analyze([text]))


def grams(text: str) -> list[str]:
    return [gram for sentence in one(text) for gram in sentence.grams]


def words(text: str) -> list[str]:
    return [word for sentence in one(text) for word in sentence.words]


@pytest.mark.parametrize("particle", ["", "를", "는", "의", "도", "까지", "에서", "만", "라도", "와"])
@pytest.mark.parametrize("noun", ["연차휴가", "육아휴직제도", "사내대출제도"])
def test_particles_leave_no_trace(noun: str, particle: str) -> None:
    assert grams(noun + particle) == grams(noun) == [noun[i : i + 2] for i in range(len(noun) - 1)]
    assert words(noun + particle) == words(noun)


def test_endings_leave_no_trace() -> None:
    assert words("승인합니다") == words("승인하였으며") == words("승인하는")
    assert "바꾸" in words("바꾼다")
    assert "바꾸" in words("바꿔야 합니다")


def test_grams_hold_within_words_only() -> None:
    assert grams("연차 휴가를") == ["연차", "휴가"]


def test_mixed_text_needs_no_setting() -> None:
    found = one(MIXED)
    assert [MIXED[s.start : s.end].strip() for s in found] == [
        "VPN 연결은 port 443, TLS 1.3을 쓴다.",
        "Do not share passwords with anyone!",
        "비밀번호는 90일마다 바꾼다.",
        "Running costs are 1,200,000 won.",
    ]
    assert {"vpn", "연결", "port", "443", "tls", "1.3", "쓰"} == set(found[0].words)
    assert set(found[1].words) == {"do", "share", "password", "anyon"}
    assert {"비밀", "밀번", "번호", "90"} <= set(found[2].grams)
    assert set(found[3].grams) == {"run", "cost", "1200000", "won"}


def test_english_is_stemmed_without_stop_words() -> None:
    assert grams("The employees are requesting the approvals") == grams("employee requested an approval")
    assert words("It is not in the THESE") == []
    # kiwi cuts English words at sentence ends; the Latin runs must not.
    assert set(words("휴가는 e-mail로 approval. Requests 이후")) == {"휴가", "이후", "e", "mail", "approv", "request"}


def test_other_scripts_are_cut_in_two() -> None:
    assert {"漢字", "字と", "とカ", "カナ", "문서"} == set(grams("漢字とカナ 문서"))


def test_decomposed_hangul_is_as_composed_once_normalised() -> None:
    text = "연차휴가를 쓰려면 결재가 필요하다."
    assert normalize(unicodedata.normalize("NFD", text)) == text
    assert normalize("연차\u200b휴가\u00a0 \n는\ufeff ") == "연차휴가 는"


def test_texts_come_back_in_order_and_empty_ones_are_empty() -> None:
    texts = ["", "연차휴가", "   ", "leave", "ㅋㅋㅋ", "!?", "출장비"]
    found = [[gram for s in sentences_ for gram in s.grams] for sentences_ in analyze(texts)]
    assert found == [[], ["연차", "차휴", "휴가"], [], ["leav"], [], [], ["출장", "장비"]]


def test_spans_cover_every_word_and_never_overlap() -> None:
    pieces = [
        "연차휴가는 15일이다.",
        " 😀😀 ",
        "See §3.2!",
        "\n\n",
        "가나다라.",
        "「개인정보 보호법」",
        "ㅋㅋ",
        "1,000원.",
        "漢",
    ]
    rng = random.Random(5)
    for _ in range(60):
        text = "".join(rng.choices(pieces, k=rng.randrange(1, 8)))
        spans = [(s.start, s.end) for s in one(text)]
        assert all(0 <= start < end <= len(text) for start, end in spans), text
        assert all(one_[1] <= other[0] for one_, other in pairwise(spans)), text
        inside = [any(start <= at < end for start, end in spans) for at in range(len(text))]
        assert all(covered for at, covered in enumerate(inside) if text[at].isalnum()), text


def test_sentences_split_both_languages() -> None:
    korean = "회의실은 미리 예약한다. 예약하지 않으면 쓸 수 없다."
    assert [korean[a:b] for a, b in sentences(korean)] == ["회의실은 미리 예약한다.", "예약하지 않으면 쓸 수 없다."]
    english = 'She said "no." Then she left.\n\nA heading\n\nThe end'
    assert [english[a:b] for a, b in sentences(english)] == [
        'She said "no."',
        "Then she left.",
        "A heading",
        "The end",
    ]
    assert sentences("  \n ") == []


def test_token_counts_grow_with_the_text() -> None:
    assert count_tokens("") == count_tokens(" \n\t") == 0
    assert count_tokens("연차휴가") == 2
    assert count_tokens("hello, world") == 3
    assert count_tokens("2026") == 2
    assert count_tokens("漢字とカナ") == 5
    assert count_tokens("연차휴가 15일 " * 100) == 100 * 2 + 50 + 67
