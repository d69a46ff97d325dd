"""The files of `distillm2 synthesize`: kills, settings, others' files, and what is registered."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
from pathlib import Path

import pytest
from openai_server import Asked, OpenAIServer, Reply
from question_scripts import command, kind, lines, make, number_of, passages

from distillm2.data.sources import load_prompts
from distillm2.data.synthesize import Quality, register_questions
from distillm2.errors import DistillationError


def test_a_killed_run_goes_on_without_asking_again(tmp_path: Path) -> None:
    hold = threading.Event()

    def script(asked: Asked) -> Reply:
        if number_of(asked.text) >= 6:
            hold.wait(60)
        return kind(asked)

    with OpenAIServer(script) as server:
        process = subprocess.Popen(command(server, tmp_path, "--concurrency", "3"), stderr=subprocess.DEVNULL)
        server.wait_for(6 * 2 + 3)
        process.send_signal(signal.SIGKILL)
        assert process.wait(30) == -signal.SIGKILL
        hold.set()
        before = len(server.asked)
        again = subprocess.run(
            command(server, tmp_path, "--register", str(tmp_path / "data" / "my_qa")),
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert again.returncode == 0, again.stderr
    assert {number_of(asked.text) for asked in server.asked[before:]} == set(range(6, 12))
    assert len(lines(tmp_path / "qa.jsonl")) == 12
    assert len(load_prompts("my_qa", tmp_path / "data")) == 12


def test_a_file_that_no_run_wrote_is_refused_and_set_aside_only_by_restart(tmp_path: Path) -> None:
    output = tmp_path / "qa.jsonl"
    output.write_text("mine", encoding="utf-8")
    with OpenAIServer(kind) as server:
        for _ in range(2):
            with pytest.raises(DistillationError, match=r"qa\.jsonl exists and .*--restart"):
                make(server, output, 2)
        assert not server.asked
        assert output.read_text(encoding="utf-8") == "mine"
        for _ in range(2):
            make(server, output, 2, restart=True)
    assert (tmp_path / "qa.jsonl.old").read_text(encoding="utf-8") == "mine"
    aside = {path.name for path in tmp_path.iterdir() if ".old" in path.name}
    assert aside == {"qa.jsonl.old", "qa.jsonl.old.2", "qa.jsonl.report.json.old", "qa.jsonl.journal.old"}


def test_an_endpoint_that_refuses_leaves_no_output_and_no_asyncio_words(tmp_path: Path) -> None:
    with OpenAIServer(lambda asked: Reply("no key", 401)) as server:
        run = subprocess.run(command(server, tmp_path), capture_output=True, text=True, timeout=60)
    assert run.returncode == 1
    assert "refused model 'teacher' with HTTP 401" in run.stderr
    assert "Task exception" not in run.stderr
    assert not (tmp_path / "qa.jsonl").exists()


def test_questions_that_failed_are_asked_after_the_others(tmp_path: Path) -> None:
    def script(asked: Asked) -> Reply:
        return Reply("too long", 400) if number_of(asked.text) < 9 else kind(asked)

    with OpenAIServer(script) as server:
        more = {"concurrency": 1, "quality": Quality(per_passage=1)}
        report = make(server, tmp_path / "qa.jsonl", 9, **more)
        assert (report.accepted, report.failed) == (0, 9)
        report = make(server, tmp_path / "qa.jsonl", 11, **more)
    assert (report.accepted, report.failed) == (2, 9)
    assert [number_of(asked.text) for asked in server.asked[9:14]] == [9, 9, 10, 10, 0]


def test_a_record_that_lacks_a_field_is_named(tmp_path: Path) -> None:
    with OpenAIServer(kind) as server:
        make(server, tmp_path / "qa.jsonl", 1)
        journal = tmp_path / "qa.jsonl.journal"
        journal.write_text(journal.read_text(encoding="utf-8").replace('"weakest"', '"w"'), encoding="utf-8")
        with pytest.raises(DistillationError, match=r"journal:2 is no record of this command"):
            make(server, tmp_path / "qa.jsonl", 1)


def test_nothing_is_not_registered(tmp_path: Path) -> None:
    (tmp_path / "qa.jsonl").touch()
    with pytest.raises(DistillationError, match=r"qa\.jsonl holds no pair, so 'my_qa' is not registered"):
        register_questions(tmp_path / "qa.jsonl", passages(1), tmp_path, "my_qa")


def test_other_settings_are_refused(tmp_path: Path) -> None:
    with OpenAIServer(kind) as server:
        make(server, tmp_path / "qa.jsonl", 1)
        with pytest.raises(DistillationError, match=r"minimum was 7\.0, now 8\.0"):
            make(server, tmp_path / "qa.jsonl", 1, quality=Quality(minimum=8.0))
        assert len(server.asked) == 2


@pytest.mark.parametrize("with_passage", [True, False])
def test_registered_rows_have_the_passage_as_input_or_not(tmp_path: Path, with_passage: bool) -> None:
    with OpenAIServer(kind) as server:
        make(server, tmp_path / "qa.jsonl", 2)
    assert register_questions(tmp_path / "qa.jsonl", passages(2), tmp_path, "my_qa", with_passage=with_passage) == 2
    rows = json.loads((tmp_path / "my_qa.json").read_text(encoding="utf-8"))
    texts = {f"질문 {number}-0": one.text for number, one in enumerate(passages(2))}
    assert {row["instruction"]: row["input"] for row in rows} == (texts if with_passage else dict.fromkeys(texts, ""))
    assert "ranking" not in json.loads((tmp_path / "dataset_info.json").read_text())["my_qa"]
