"""`distillm2 generate` against a real server: concurrency, kills, torn lines, settings, failures."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from openai_server import Asked, OpenAIServer, Reply

from distillm2.data.endpoint import Endpoint, Sampling
from distillm2.data.generate import generate
from distillm2.data.records import Message, Prompt
from distillm2.data.sources import load_prompts
from distillm2.errors import DistillationError

KEY = "sk-not-to-be-seen-anywhere"


def prompts(count: int) -> list[Prompt]:
    return [Prompt((Message("user", f"질문 {number}"),)) for number in range(count)]


def answer(asked: Asked) -> Reply:
    return Reply(f"{asked.text}의 답")


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def command(server: OpenAIServer, folder: Path, *more: str) -> list[str]:
    program = [sys.executable, "-m", "distillm2", "generate", str(folder / "prompts.jsonl")]
    return [*program, "--endpoint", server.url, "--model", "teacher", "--output", str(folder / "out.jsonl"), *more]


def write_prompts(folder: Path, count: int) -> None:
    rows = [json.dumps({"prompt": f"질문 {number}"}, ensure_ascii=False) for number in range(count)]
    (folder / "prompts.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")


def test_every_prompt_is_answered_once_with_the_sampling_of_the_paper(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    with OpenAIServer(answer) as server:
        report = generate([*prompts(5), *prompts(2)], Endpoint(server.url, "teacher"), output)
    assert (report.wanted, report.done, report.failed, report.repeated_prompts) == (5, 5, 0, 2)
    assert report.finished
    header, *records = lines(output)
    assert header["settings"]["temperature"] == 0.8
    assert header["settings"]["top_p"] == 0.95
    assert header["settings"]["max_tokens"] == 1024
    found = {record["messages"][0]["content"]: record["response"] for record in records}
    assert found == {f"질문 {number}": f"질문 {number}의 답" for number in range(5)}


def test_so_many_requests_are_under_way_at_once(tmp_path: Path) -> None:
    together = threading.Barrier(8)

    def script(asked: Asked) -> Reply:
        together.wait(30)  # answers only when eight requests are there
        return answer(asked)

    with OpenAIServer(script) as server:
        report = generate(prompts(24), Endpoint(server.url, "teacher"), tmp_path / "out.jsonl", concurrency=8)
    assert report.finished
    assert server.most_at_once == 8


def test_a_killed_run_goes_on_without_asking_again(tmp_path: Path) -> None:
    write_prompts(tmp_path, 20)
    hold = threading.Event()

    def script(asked: Asked) -> Reply:
        if asked.number >= 9:
            hold.wait(60)
        return answer(asked)

    output = tmp_path / "out.jsonl"
    with OpenAIServer(script) as server:
        process = subprocess.Popen(command(server, tmp_path, "--concurrency", "4"), stderr=subprocess.DEVNULL)
        server.wait_for(13)
        process.send_signal(signal.SIGKILL)
        assert process.wait(30) == -signal.SIGKILL
        hold.set()
        done = {record["messages"][0]["content"] for record in lines(output)[1:]}
        assert len(done) == 9
        before = len(server.asked)
        again = subprocess.run(command(server, tmp_path), capture_output=True, text=True, timeout=60)
        assert again.returncode == 0, again.stderr
        asked_again = {asked.text for asked in server.asked[before:]}
    assert len(asked_again) == len(server.asked) - before == 11
    assert not asked_again & done
    assert {record["messages"][0]["content"] for record in lines(output)[1:]} == done | asked_again
    assert re.search(r"answered before\W+9\b", again.stdout)


@pytest.mark.parametrize("cut", [1, 30])
def test_a_torn_last_line_is_removed_and_asked_again(tmp_path: Path, cut: int) -> None:
    output = tmp_path / "out.jsonl"
    with OpenAIServer(answer) as server:
        generate(prompts(3), Endpoint(server.url, "teacher"), output)
        with output.open("r+b") as file:
            file.truncate(output.stat().st_size - cut)
        report = generate(prompts(3), Endpoint(server.url, "teacher"), output)
        assert len(server.asked) == 4
    assert report.repaired
    assert (report.done_before, report.done) == (2, 3)
    assert len(lines(output)) == 4


def test_a_broken_line_in_the_middle_is_named_and_nothing_is_lost(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    with OpenAIServer(answer) as server:
        generate(prompts(3), Endpoint(server.url, "teacher"), output)
        written = output.read_text(encoding="utf-8").replace('{"key"', '{"key', 1)
        output.write_text(written, encoding="utf-8")
        with pytest.raises(DistillationError, match=r"out\.jsonl:2 is not JSON"):
            generate(prompts(3), Endpoint(server.url, "teacher"), output)
    assert output.read_text(encoding="utf-8") == written


def test_other_settings_are_refused_with_both_values_unless_restarted(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    with OpenAIServer(answer) as server:
        endpoint = Endpoint(server.url, "teacher")
        generate(prompts(2), endpoint, output)
        former = output.read_bytes()
        with pytest.raises(DistillationError, match=r"temperature was 0\.8, now 0\.2.*--restart"):
            generate(prompts(2), endpoint, output, sampling=Sampling(temperature=0.2))
        assert output.read_bytes() == former
        assert len(server.asked) == 2
        assert generate(prompts(2), endpoint, output, sampling=Sampling(temperature=0.2), restart=True).done == 2
        assert len(server.asked) == 4
    assert (tmp_path / "out.jsonl.old").read_bytes() == former
    assert lines(output)[0]["settings"]["temperature"] == 0.2


def test_another_address_and_more_samples_go_on(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    sampling = Sampling(seed=3)
    with OpenAIServer(answer) as server:
        generate(prompts(2), Endpoint(server.url, "teacher"), output, sampling=sampling)
    with OpenAIServer(answer) as server:
        report = generate(prompts(2), Endpoint(server.url, "teacher"), output, sampling=sampling, samples=3)
        assert (report.done_before, report.done, len(server.asked)) == (2, 6, 4)
        assert len({asked.body["seed"] for asked in server.asked}) == 4
    assert sorted(record["sample"] for record in lines(output)[1:]) == [0, 0, 1, 1, 2, 2]


def test_seeds_are_the_same_at_every_run(tmp_path: Path) -> None:
    seeds = []
    for run in ("one", "two"):
        with OpenAIServer(answer) as server:
            generate(prompts(3), Endpoint(server.url, "teacher"), tmp_path / run, sampling=Sampling(seed=3))
        seeds.append({asked.text: asked.body["seed"] for asked in server.asked})
    assert seeds[0] == seeds[1]
    assert len(set(seeds[0].values())) == 3


def test_a_failed_prompt_is_recorded_and_asked_at_the_next_start(tmp_path: Path) -> None:
    write_prompts(tmp_path, 4)
    fail = True

    def script(asked: Asked) -> Reply:
        return Reply("too long", 400) if fail and asked.text == "질문 2" else answer(asked)

    with OpenAIServer(script) as server:
        first = subprocess.run(command(server, tmp_path), capture_output=True, text=True, timeout=60)
        fail = False
        second = subprocess.run(command(server, tmp_path), capture_output=True, text=True, timeout=60)
    assert (first.returncode, second.returncode) == (1, 0), first.stderr + second.stderr
    assert len(server.asked) == 5
    records = lines(tmp_path / "out.jsonl")[1:]
    assert [record["error"] for record in records if "error" in record] == ["HTTP 400: too long"]
    assert len([record for record in records if "response" in record]) == 4


def test_truncated_and_empty_answers_are_marked_and_counted(tmp_path: Path) -> None:
    replies = {"질문 0": Reply("끝이 없", finish_reason="length"), "질문 1": Reply(""), "질문 2": Reply("답")}
    output = tmp_path / "out.jsonl"
    with OpenAIServer(lambda asked: replies[asked.text]) as server:
        report = generate(prompts(3), Endpoint(server.url, "teacher"), output)
    assert (report.truncated, report.empty) == (1, 1)
    cut = {record["messages"][0]["content"]: record["truncated"] for record in lines(output)[1:]}
    assert cut == {"질문 0": True, "질문 1": False, "질문 2": False}


def test_an_endpoint_that_always_fails_ends_the_run_early(tmp_path: Path) -> None:
    with OpenAIServer(lambda asked: Reply("<html>", raw=True)) as server:
        with pytest.raises(DistillationError, match=r"8 requests failed in a row, last with: not an answer.*<html>"):
            generate(prompts(50), Endpoint(server.url, "teacher"), tmp_path / "out.jsonl", concurrency=2)
        assert len(server.asked) <= 10


def test_prompts_that_are_refused_do_not_end_the_run_and_come_last_at_the_next(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"

    def script(asked: Asked) -> Reply:
        return Reply("too long", 400) if int(asked.text.split()[1]) < 9 else answer(asked)

    with OpenAIServer(script) as server:
        endpoint = Endpoint(server.url, "teacher")
        report = generate(prompts(10), endpoint, output, concurrency=1)
        assert (report.done, report.failed) == (1, 9)
        report = generate(prompts(12), endpoint, output, concurrency=1)
        assert (report.done, report.failed) == (3, 9)
    assert [asked.text for asked in server.asked[10:12]] == ["질문 10", "질문 11"]


def test_a_response_with_half_a_surrogate_pair_is_kept_as_text(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    with OpenAIServer(lambda asked: Reply("답 \ud83d")) as server:
        generate(prompts(1), Endpoint(server.url, "teacher"), output)
    assert lines(output)[1]["response"] == "답 \ufffd"


def test_a_record_that_lacks_a_field_is_named_and_nothing_is_asked(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    with OpenAIServer(answer) as server:
        generate(prompts(2), Endpoint(server.url, "teacher"), output)
        output.write_text(output.read_text(encoding="utf-8").replace('"key"', '"kei"', 1), encoding="utf-8")
        with pytest.raises(DistillationError, match=r"out\.jsonl:2 is no record of this command: mend or delete"):
            generate(prompts(2), Endpoint(server.url, "teacher"), output)
        assert len(server.asked) == 2


def test_the_key_is_in_no_output(tmp_path: Path) -> None:
    write_prompts(tmp_path, 2)
    with OpenAIServer(lambda asked: Reply(f"key {KEY} has no quota", 400)) as server:
        run = subprocess.run(
            command(server, tmp_path, "--api-key-env", "MY_KEY"),
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, "MY_KEY": KEY},
        )
        assert server.asked[0].headers["Authorization"] == f"Bearer {KEY}"
    assert run.returncode == 1
    assert KEY not in run.stdout + run.stderr + (tmp_path / "out.jsonl").read_text(encoding="utf-8")
    assert "***" in (tmp_path / "out.jsonl").read_text(encoding="utf-8")


def test_responses_may_be_given_as_prompts(tmp_path: Path) -> None:
    with OpenAIServer(answer) as server:
        generate(prompts(3), Endpoint(server.url, "teacher"), tmp_path / "teacher.jsonl")
    assert set(load_prompts(tmp_path / "teacher.jsonl")) == set(prompts(3))
