from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
from command_line import run

TEXT = "담당자는 hong@example.com으로 연락하세요. 전화 010-0000-1234.\n"


def standard_input(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content), encoding="utf-8"))


def test_text_comes_back_masked_and_otherwise_as_it_was(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "letter.txt"
    file.write_bytes(TEXT.replace("\n", "\r\n").encode())
    ran = run("mask", file)
    assert ran.out == "담당자는 [EMAIL]으로 연락하세요. 전화 [PHONE_NUMBER].\r\n"
    standard_input(monkeypatch, TEXT.encode())
    assert run("mask").out == "담당자는 [EMAIL]으로 연락하세요. 전화 [PHONE_NUMBER].\n"


def test_json_gives_spans_of_the_original(place: Path, tmp_path: Path) -> None:
    file = tmp_path / "letter.txt"
    file.write_text(TEXT, encoding="utf-8")
    report = run("mask", file, "--json").json
    assert {TEXT[entity["start"] : entity["end"]] for entity in report["entities"]} == {
        "hong@example.com",
        "010-0000-1234",
    }


def test_json_lines_keep_their_order_across_batches(place: Path, tmp_path: Path) -> None:
    texts = [f"{number}번 손님 guest{number}@example.com" if number % 3 else f"{number}번" for number in range(450)]
    file = tmp_path / "in.jsonl"
    file.write_text("".join(json.dumps({"id": 1, "text": text}) + "\n" for text in texts), encoding="utf-8")
    ran = run("mask", "--jsonl", file)
    assert ran.code == 0
    rows = [json.loads(line) for line in ran.out.splitlines()]
    assert len(rows) == len(texts)
    for number, (text, row) in enumerate(zip(texts, rows, strict=True)):
        assert row["text"] == (f"{number}번 손님 [EMAIL]" if number % 3 else text)
        for entity in row["entities"]:
            assert entity["type"] == "EMAIL"
            assert text[entity["start"] : entity["end"]] == f"guest{number}@example.com"
            assert 0 < entity["score"] <= 1


@pytest.mark.parametrize("bad", ["{", '{"body": "x"}', '"text"', '{"text": 5}', ""])
def test_a_malformed_line_is_named(place: Path, tmp_path: Path, bad: str) -> None:
    file = tmp_path / "in.jsonl"
    file.write_text(f'{{"text": "one"}}\n{bad}\n{{"text": "three"}}\n', encoding="utf-8")
    ran = run("mask", "--jsonl", file)
    assert ran.code == 2
    assert f"{file}, line 2: " in ran.err


def test_what_cannot_be_masked_is_refused(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = run("mask", tmp_path / "nowhere.txt", "--json")
    assert missing.code == 2
    assert "nowhere.txt" in missing.json["error"]["message"]
    legacy = tmp_path / "cp949.txt"
    legacy.write_bytes("홍길동".encode("cp949"))
    assert "UTF-8" in run("mask", legacy).err
    monkeypatch.setenv("LLMFLOW_PII__ENABLED", "false")
    off = run("mask", legacy)
    assert off.code == 2
    assert "pii.enabled" in off.err


def test_interrupt_ends_quietly(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted(io.StringIO):
        def read(self, size: int | None = -1) -> str:
            raise KeyboardInterrupt

    monkeypatch.setattr(sys, "stdin", Interrupted())
    ran = run("mask")
    assert ran.code == 130
    assert ran.out == ""
    assert ran.err == "interrupted\n"
