from __future__ import annotations

import pytest

from llmflow.korean import count_tokens
from llmflow.retrieval.reranking.cutting import CUT, cut

FILLER = [f"제{number}호 안건은 원안대로 의결하였다." for number in range(60)]
ANSWER = "연차 휴가는 입사 1년이 지나면 15일을 준다."
QUERY = "연차 휴가는 며칠인가요?"


@pytest.mark.parametrize("place", [0, 30, 60])
def test_what_is_kept_is_whole_sentences_around_the_match(place: int) -> None:
    text = " ".join([*FILLER[:place], ANSWER, *FILLER[place:]])
    (kept,) = cut(QUERY, [text], 100)
    assert ANSWER in kept
    assert count_tokens(kept) <= 100
    inner = kept.strip(f"{CUT} ")
    assert inner in text
    assert inner.endswith("다.")
    assert kept.startswith(CUT) == (place > 0)
    assert kept.endswith(CUT) == (place < 60)
    if place == 30:
        assert not inner.startswith(ANSWER)
        assert not inner.endswith(ANSWER)


def test_short_passages_stay_as_they_are() -> None:
    texts = [ANSWER, "", "  두 칸  ", "[PHONE_NUMBER]로 전화"]
    assert cut(QUERY, texts, 100) == texts


def test_english_passages_are_cut_too() -> None:
    text = " ".join(
        [*["The board met and closed the session."] * 40, "Annual leave is 15 days.", *["Minutes end."] * 40]
    )
    (kept,) = cut("How many days of annual leave?", [text], 60)
    assert "Annual leave is 15 days." in kept
    assert count_tokens(kept) <= 60


def test_a_sentence_too_long_itself_is_cut_between_words() -> None:
    words = [f"항목{number}" for number in range(300)]
    text = " ".join([*words[:200], "연차", "휴가", *words[200:]])
    (kept,) = cut(QUERY, [text], 50)
    assert "연차 휴가" in kept
    assert set(kept.split()) - {CUT} <= set(text.split())
    assert count_tokens(kept) <= 50


def test_masks_stay_whole_in_words_without_end() -> None:
    text = "가나다라" * 50 + "[PHONE_NUMBER]연차" + "마바사아" * 50
    (kept,) = cut("연차 문의", [text], 40)
    assert count_tokens(kept) <= 40
    assert ("[PHONE_NUMBER]" in kept) == ("PHONE" in kept)
    assert "연차" in kept


def test_a_passage_that_shares_nothing_with_the_question_is_still_cut() -> None:
    (kept,) = cut("zebra", [" ".join(FILLER)], 60)
    assert 20 < count_tokens(kept) <= 60


def test_a_rare_word_beats_a_common_one() -> None:
    text = " ".join(
        [*["휴가 신청은 전자결재로 한다."] * 40, "경조사 휴가는 5일이다.", *["휴가 신청은 전자결재로 한다."] * 40]
    )
    (kept,) = cut("경조사 휴가", [text], 60)
    assert "경조사" in kept


def test_the_titles_of_a_passage_stay() -> None:
    sentences = [f"{number}번째 문장은 서로 다른 것을 말한다." for number in range(60)]
    sentences[40] = "연차휴가는 5일까지 이월한다."
    titles = "휴가 규정 > 제2장 연차휴가"
    (found,) = cut("연차휴가 이월", [f"{titles}\n{' '.join(sentences)}"], 60)
    assert found.startswith(f"{titles}\n… ")
    assert sentences[40] in found
    assert count_tokens(found) <= 60
    (other,) = cut("연차휴가 이월", [f"{' '.join(sentences[:20])}\n{' '.join(sentences)}"], 60)
    assert not other.startswith(sentences[0])
