"""`distillm2 synthesize` against real servers: judging, feedback, giving up, and what is asked of whom."""

from __future__ import annotations

import json
import os
import re
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest
from openai_server import Asked, OpenAIServer, Reply
from question_scripts import command, is_judge, kind, lines, make, scored, written

from distillm2.data.endpoint import Endpoint
from distillm2.data.passages import Passage
from distillm2.data.synthesize import Quality, synthesize
from distillm2.errors import DistillationError

KEY = "sk-of-the-teacher"


def test_accepted_pairs_and_report(tmp_path: Path) -> None:
    output = tmp_path / "qa.jsonl"
    with OpenAIServer(kind) as server:
        report = make(server, output, 5)
    assert (report.target, report.accepted, report.attempts, report.failed) == (5, 5, 5, 0)
    assert (report.accepted_at, report.mean_score, report.histogram) == ({1: 5}, 9.0, {9: 5})
    assert report.finished
    rows = {row["passage"]: row for row in lines(output)}
    assert rows["p3"] == {
        "passage": "p3",
        "question": "질문 3-0",
        "answer": "3일이다.",
        "score": 9.0,
        "scores": {"grounded": 9.0, "answerable": 10.0, "clear": 9.0},
        "attempts": 1,
    }
    assert json.loads((tmp_path / "qa.jsonl.report.json").read_text())["accepted"] == 5


def test_a_low_score_is_written_again_with_the_objection(tmp_path: Path) -> None:
    def script(asked: Asked) -> Reply:
        if not is_judge(asked):
            return written(asked)
        first = "질문 1-0" in asked.text
        return scored(6.9, "근거가 문서에 없습니다.") if first else scored(8)

    with OpenAIServer(script) as server:
        report = make(server, tmp_path / "qa.jsonl", 2)
    again = [asked.text for asked in server.asked if "통과하지 못했습니다" in asked.text]
    assert len(again) == 1
    assert "지적: 근거가 문서에 없습니다." in again[0]
    assert "질문: 질문 1-0" in again[0]
    assert (report.accepted_at, report.rejected_for) == ({1: 1, 2: 1}, {"grounded": 1})
    assert report.histogram == {6: 1, 8: 2}
    assert {row["question"] for row in lines(tmp_path / "qa.jsonl")} == {"질문 0-0", "질문 1-2"}


def test_it_gives_up_after_so_many_attempts(tmp_path: Path) -> None:
    def script(asked: Asked) -> Reply:
        return scored(2) if is_judge(asked) else written(asked)

    with OpenAIServer(script) as server:
        report = make(server, tmp_path / "qa.jsonl", 2, quality=Quality(attempts=3, per_passage=1))
        assert len(server.asked) == 2 * 3 * 2
        assert (report.accepted, report.given_up, report.attempts, report.finished) == (0, 2, 6, False)
        make(server, tmp_path / "qa.jsonl", 2, quality=Quality(attempts=3, per_passage=1))
        assert len(server.asked) == 2 * 3 * 2
    assert lines(tmp_path / "qa.jsonl") == []


def test_an_answer_without_a_pair_is_an_attempt(tmp_path: Path) -> None:
    def script(asked: Asked) -> Reply:
        if is_judge(asked):
            return scored(9)
        return written(asked) if "형식의 JSON이 아닙니다" in asked.text else Reply("질문을 만들 수 없습니다.")

    with OpenAIServer(script) as server:
        report = make(server, tmp_path / "qa.jsonl", 1)
    assert (report.accepted_at, report.rejected_for) == ({2: 1}, {"form": 1})


def test_a_judge_that_gives_no_score_is_asked_again_and_never_guessed(tmp_path: Path) -> None:
    vague = True

    def script(asked: Asked) -> Reply:
        if not is_judge(asked):
            return written(asked)
        return Reply("아주 좋습니다! 10점 만점에 10점") if vague else scored(9)

    with OpenAIServer(script) as server:
        report = make(server, tmp_path / "qa.jsonl", 1, quality=Quality(per_passage=1))
        assert [is_judge(asked) for asked in server.asked] == [False, True, True, True]
        assert (report.accepted, report.failed, report.finished) == (0, 1, False)
        vague = False
        report = make(server, tmp_path / "qa.jsonl", 1, quality=Quality(per_passage=1))
    assert (report.accepted, report.failed, report.finished) == (1, 0, True)


def test_further_questions_of_a_passage_know_the_former(tmp_path: Path) -> None:
    with OpenAIServer(kind) as server:
        report = make(server, tmp_path / "qa.jsonl", 2, target=6)
    assert report.accepted == 6
    questions = sorted(row["question"] for row in lines(tmp_path / "qa.jsonl"))
    assert questions == [f"질문 {passage}-{number}" for passage in (0, 1) for number in (0, 1, 2)]


def test_a_repeated_question_is_not_accepted(tmp_path: Path) -> None:
    def script(asked: Asked) -> Reply:
        return scored(9) if is_judge(asked) else Reply('{"question": "늘 같은  질문", "answer": "답"}')

    with OpenAIServer(script) as server:
        report = make(server, tmp_path / "qa.jsonl", 1, target=2, quality=Quality(attempts=2, per_passage=2))
    assert (report.accepted, report.given_up, report.rejected_for) == (1, 1, {"repeated": 2})


def test_the_target_is_met_exactly_and_concurrently(tmp_path: Path) -> None:
    together = threading.Barrier(4)

    def script(asked: Asked) -> Reply:
        if asked.number < 4:
            together.wait(30)  # answers only when four requests are there
        return kind(asked)

    with OpenAIServer(script) as server:
        report = make(server, tmp_path / "qa.jsonl", 30, target=10, concurrency=4)
    assert report.accepted == 10
    assert len(server.asked) == 20
    assert server.most_at_once == 4


@pytest.mark.parametrize(
    "odd",
    [
        '{"question": ' + "[" * 100_000,
        '{"question": "질문 \\ud83d", "answer": "답 \\ud83d"}',
        '{"question": "\\udc00", "answer": 5}',
    ],
)
def test_odd_answers_of_a_teacher_end_no_run(tmp_path: Path, odd: str) -> None:
    with OpenAIServer(lambda asked: scored(9) if is_judge(asked) else Reply(odd)) as server:
        report = make(server, tmp_path / "qa.jsonl", 1, quality=Quality(attempts=1, per_passage=1))
    assert report.accepted + report.given_up == 1
    assert all("\ufffd" in row["question"] for row in lines(tmp_path / "qa.jsonl"))


def test_the_judge_may_be_elsewhere_and_never_gets_the_teachers_key(tmp_path: Path) -> None:
    with OpenAIServer(kind) as server, OpenAIServer(kind) as judge:
        environment = {**os.environ, "OPENAI_API_KEY": KEY}
        more = ["--judge-endpoint", judge.url, "--judge-model", "judge", "--target", "2"]
        run = subprocess.run(
            command(server, tmp_path, *more), capture_output=True, text=True, timeout=60, env=environment
        )
    assert run.returncode == 0, run.stderr
    assert {asked.headers["Authorization"] for asked in server.asked} == {f"Bearer {KEY}"}
    assert {asked.headers.get("Authorization") for asked in judge.asked} == {None}
    assert {is_judge(asked) for asked in judge.asked} == {True}
    assert {asked.body["model"] for asked in judge.asked} == {"judge"}
    assert {asked.body["temperature"] for asked in judge.asked} == {0.0}


def test_english_passages_are_asked_in_english_unless_told_otherwise(tmp_path: Path) -> None:
    english = [Passage("travel", "Travel", "Travel expenses are settled within seven days. 제1조")]
    with OpenAIServer(lambda asked: scored(9) if asked.number % 2 else written(asked)) as server:
        endpoint = Endpoint(server.url, "teacher")
        synthesize(english, endpoint, tmp_path / "auto.jsonl")
        synthesize(english, endpoint, tmp_path / "ko.jsonl", quality=Quality(language="ko"))
    openings = [asked.text.split(" ")[0] for asked in server.asked]
    assert openings == ["Write", "Score", "다음", "다음"]


def test_a_passage_with_template_signs_is_sent_as_it_is(tmp_path: Path) -> None:
    odd = [Passage("odd", "$title {x}", "제1조 비용은 $100이다. ${passage} {question} %s")]
    with OpenAIServer(kind) as server:
        synthesize(odd, Endpoint(server.url, "teacher"), tmp_path / "qa.jsonl")
    assert all(odd[0].text in asked.text for asked in server.asked)


@pytest.mark.parametrize("bad", [{"minimum": 11}, {"attempts": 0}, {"per_passage": 0}])
def test_bad_quality_is_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(DistillationError, match=re.escape(str(next(iter(bad.values()))))):
        Quality(**bad)
