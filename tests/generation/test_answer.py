from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from chat_server import Reply, answer, chat_server, piece
from passages import HANDBOOK, LEAVE, TRAVEL, candidate, result

from llmflow.generation.answer import Answerer, AnswerEvent, Discarded, Finished, TextDelta
from llmflow.models.llm import LLMClient
from llmflow.schema import Answer
from llmflow.settings import GenerationSettings, LLMSettings

QUESTION = "연차휴가는 며칠인가요?"
FOUND = result(QUESTION, LEAVE, TRAVEL)
NOTHING = "문서에서 근거를 찾지 못했습니다"


def unmasked(text: str) -> str:
    return text


def masked(text: str) -> str:
    return re.sub(r"010-\d{4}-\d{4}", "[PHONE_NUMBER]", text)


def answerer(base_url: str | None = None, mask: Any = unmasked, **settings: Any) -> Answerer:
    llm = LLMClient(LLMSettings(base_url=base_url, retries=0, timeout_s=5)) if base_url else None
    return Answerer(GenerationSettings(**settings), llm, mask)


def finished(events: list[AnswerEvent]) -> Answer:
    last = events[-1]
    assert isinstance(last, Finished)
    return last.answer


def shown(events: list[AnswerEvent]) -> str:
    """What a reader has before him at the end."""
    text = ""
    for event in events:
        if isinstance(event, TextDelta):
            text += event.text
        elif isinstance(event, Discarded):
            text = ""
    return text


def assert_exact_spans(found: Answer) -> None:
    assert found.retrieval is not None
    for citation in found.citations:
        chunk = found.retrieval.candidates[citation.number - 1].chunk
        assert chunk.id == citation.chunk_id
        assert chunk.text[slice(*citation.span)] == citation.quote != ""


# Generated


def test_a_generated_answer_is_streamed_by_sentence_with_checked_citations() -> None:
    text = "80퍼센트 이상 출근하면 15일의 연차휴가를 줍니다. [1]\n한도는 25일입니다 [1]."
    with chat_server(answer(text, size=3)) as server:
        events = list(answerer(server.base_url).stream(QUESTION, FOUND))
    found = finished(events)
    assert [event.text for event in events[:-1] if isinstance(event, TextDelta)] == [
        "80퍼센트 이상 출근하면 15일의 연차휴가를 줍니다. [1]",
        "\n한도는 25일입니다. [1]",
    ]
    assert found.text == shown(events)
    assert found.mode == "generative"
    assert len(found.citations) == 2
    assert_exact_spans(found)
    assert found.unsupported == ()
    assert found.degradations == ()
    assert {"window", "first_token", "generate", "cite", "mask", "total"} <= found.timings_ms.keys()
    assert found.retrieval is FOUND


def test_unsupported_sentences_and_dropped_numbers_are_visible() -> None:
    text = "연차휴가는 15일을 줍니다 [1][9]. 구내식당은 매일 무료입니다 [2]."
    with chat_server(answer(text)) as server:
        found = answerer(server.base_url).answer(QUESTION, FOUND)
    assert found.text == "연차휴가는 15일을 줍니다. [1] 구내식당은 매일 무료입니다. [근거 없음]"
    assert found.unsupported == ("구내식당은 매일 무료입니다.",)
    (degradation,) = found.degradations
    assert degradation.stage == "citations"
    assert "[2][9]" in degradation.reason


def test_the_llm_can_abstain() -> None:
    with chat_server(answer(f"죄송합니다만, {NOTHING}. 연차는 보통 15일입니다.")) as server:
        found = answerer(server.base_url).answer(QUESTION, FOUND)
    assert (found.text, found.mode, found.citations) == (NOTHING, "abstained", ())


def test_abstaining_on_a_part_of_the_question_keeps_the_rest() -> None:
    with chat_server(
        answer("연차휴가는 15일을 줍니다. [1] 이월에 대해서는 문서에서 근거를 찾지 못했습니다.")
    ) as server:
        found = answerer(server.base_url).answer(QUESTION, FOUND)
    assert found.mode == "generative"
    assert found.text.endswith("이월에 대해서는 문서에서 근거를 찾지 못했습니다.")
    assert found.unsupported == ()


def test_an_answer_cut_by_max_tokens_says_so() -> None:
    with chat_server(answer("연차휴가는 15일을 줍니다. [1] 그리고", finish="length")) as server:
        found = answerer(server.base_url).answer(QUESTION, FOUND)
    assert any("max_tokens" in degradation.reason for degradation in found.degradations)


def test_english_question_on_english_passage() -> None:
    question = "How many days a week may I work from home?"
    with chat_server(answer("You may work from home two days a week [1]. Lunch is free.")) as server:
        found = answerer(server.base_url).answer(question, result(question, HANDBOOK, language="en"))
    assert found.text == "You may work from home two days a week. [1] Lunch is free. [unsupported]"


def test_only_the_passages_within_the_budget_are_sent() -> None:
    with chat_server(answer("연차휴가는 15일을 줍니다. [1]")) as server:
        answerer(server.base_url, context_tokens=100).answer(QUESTION, result(QUESTION, LEAVE, *[TRAVEL] * 20))
    prompt = json.dumps(server.requests[0]["messages"], ensure_ascii=False)
    assert "[1] 휴가규정.pdf" in prompt
    assert "[3]" not in prompt


# Masking


@pytest.mark.parametrize("size", [1, 2, 5, 100])
def test_personal_data_split_over_deltas_does_not_leak(size: int) -> None:
    contact = candidate("문의는 총무팀 010-1234-5678 로 한다. 연차휴가는 15일이다.")
    with chat_server(answer("문의는 총무팀 010-1234-5678 로 합니다. [1] 연차휴가는 15일입니다. [1]", size)) as server:
        events = list(answerer(server.base_url, masked).stream(QUESTION, result(QUESTION, contact)))
    for event in events:
        if isinstance(event, TextDelta):
            assert "010" not in event.text
            assert "5678" not in event.text
    assert finished(events).text == "문의는 총무팀 [PHONE_NUMBER] 로 합니다. [1] 연차휴가는 15일입니다. [1]"


def test_unsupported_sentences_and_quotes_are_masked_in_the_text() -> None:
    with chat_server(answer("대표 번호는 010-9999-0000입니다.")) as server:
        found = answerer(server.base_url, masked).answer(QUESTION, FOUND)
    assert found.unsupported == ("대표 번호는 [PHONE_NUMBER]입니다.",)
    contact = candidate("총무팀 전화번호는 010-1234-5678이다.")
    quoted = answerer(None, masked).answer("", result("총무팀 전화번호는 무엇인가요?", contact))
    assert "총무팀 전화번호는 [PHONE_NUMBER]이다. [1]" in quoted.text


# Falling back


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply([b"down"], 500), "HTTP 500"),
        (Reply([piece("연차휴가는 1")]), "broke off"),
        (Reply([b"data: {oops\n\n"]), "no chat completion"),
        (answer("  \n"), "empty answer"),
    ],
)
def test_a_failing_llm_gives_a_quoted_answer_and_says_why(reply: Reply, reason: str) -> None:
    with chat_server(reply) as server:
        found = answerer(server.base_url).answer(QUESTION, FOUND)
    assert found.mode == "extractive"
    assert "15일의 연차휴가를 준다. [1]" in found.text
    (degradation,) = found.degradations
    assert degradation.stage == "llm"
    assert reason in degradation.reason


def test_a_slow_llm_gives_a_quoted_answer() -> None:
    with chat_server(answer("연차휴가는 15일을 줍니다. [1]", size=1, pause_s=0.1)) as server:
        llm = LLMClient(LLMSettings(base_url=server.base_url, timeout_s=0.3))
        found = Answerer(GenerationSettings(), llm, unmasked).answer(QUESTION, FOUND)
    assert found.mode == "extractive"
    assert "timeout_s" in found.degradations[0].reason


def test_text_shown_before_the_failure_is_withdrawn() -> None:
    with chat_server(Reply([piece("구내식당은 무료입니다. 그리고 ")])) as server:
        events = list(answerer(server.base_url).stream(QUESTION, FOUND))
    assert isinstance(events[0], TextDelta)
    assert isinstance(events[1], Discarded)
    found = finished(events)
    assert shown(events) == found.text
    assert "구내식당" not in found.text
    assert found.unsupported == ()
    assert_exact_spans(found)


# Quoted


def test_without_an_llm_sentences_are_quoted_and_said_to_be() -> None:
    events = list(answerer().stream(QUESTION, FOUND))
    found = finished(events)
    assert found.mode == "extractive"
    assert found.text == shown(events)
    first, *lines = found.text.splitlines()
    assert "인용" in first
    assert all(re.search(r" \[\d\]$", line) for line in lines)
    assert len(found.citations) == len(lines)
    assert_exact_spans(found)
    assert found.degradations == ()


def test_a_table_is_quoted_by_row() -> None:
    found = answerer(max_sentences=1).answer("", result("국내 출장 숙박비 한도는 얼마인가요?", LEAVE, TRAVEL))
    assert found.text.splitlines()[1] == "항목: 숙박비, 기준: 1박 120,000원 한도, 비고: 실비 [2]"
    assert found.citations[0].quote == "| 숙박비 | 1박 120,000원 한도 | 실비 |"


# Abstaining


@pytest.mark.parametrize(("language", "text"), [("ko", NOTHING), ("en", "no evidence found in the documents")])
def test_without_candidates_there_is_no_answer_and_no_call(language: Any, text: str) -> None:
    with chat_server(answer("연차휴가는 15일입니다. [1]")) as server:
        found = answerer(server.base_url).answer(QUESTION, result(QUESTION, language=language))
    assert (found.text, found.mode) == (text, "abstained")
    assert server.requests == []


def test_quotes_beside_the_point_are_not_given() -> None:
    found = answerer().answer("", result("스톡옵션은 언제 행사할 수 있나요?", LEAVE, TRAVEL))
    assert (found.text, found.mode, found.citations) == (NOTHING, "abstained", ())


def test_korquad_answers_are_quoted_from_their_paragraph() -> None:
    import gzip

    folder = os.environ.get("LLMFLOW_EVAL_DATA")
    if not folder:
        pytest.skip("LLMFLOW_EVAL_DATA names no folder with evaluation data")
    data = Path(folder) / "ko_korquad1"
    with gzip.open(data / "corpus.jsonl.gz", "rt", encoding="utf-8") as lines:
        texts = {row["_id"]: row["text"] for row in map(json.loads, lines)}
    queries = {row["_id"]: row for row in map(json.loads, (data / "queries.jsonl").read_text("utf-8").splitlines())}
    pairs = [line.split("\t")[:2] for line in (data / "qrels" / "dev.tsv").read_text("utf-8").splitlines()[1::80]]
    hits = 0
    for query_id, text_id in pairs:
        query = queries[query_id]
        found = answerer().answer("", result(query["text"], candidate(texts[text_id])))
        assert_exact_spans(found)
        hits += query["metadata"]["answer"] in " ".join(citation.quote for citation in found.citations)
    assert len(pairs) > 30
    assert hits / len(pairs) >= 0.8
