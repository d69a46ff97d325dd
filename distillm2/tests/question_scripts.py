"""A teacher and a judge who speak as the tests of `distillm2 synthesize` need, and how they are asked."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from openai_server import Asked, OpenAIServer, Reply

from distillm2.data.endpoint import Endpoint
from distillm2.data.passages import Passage
from distillm2.data.synthesize import SynthesisReport, synthesize


def passages(count: int) -> list[Passage]:
    return [Passage(f"p{number}", f"규정 {number}", f"제{number}조 휴가는 {number}일이다.") for number in range(count)]


def number_of(text: str) -> int:
    found = re.search(r"제(\d+)조", text)
    assert found, text
    return int(found[1])


def written(asked: Asked) -> Reply:
    """What the teacher writes: its number of the question grows with the questions asked before."""
    number = number_of(asked.text)
    variant = len(re.findall(r"\n- 질문 \d", asked.text)) + 2 * asked.text.count("통과하지 못했습니다")
    pair = {"question": f"질문 {number}-{variant}", "answer": f"{number}일이다."}
    return Reply(json.dumps(pair, ensure_ascii=False))


def scored(score: float, reason: str = "") -> Reply:
    scores = {"grounded": score, "answerable": 10, "clear": 9, "reason": reason}
    return Reply(f"채점합니다.\n```json\n{json.dumps(scores, ensure_ascii=False)}\n```")


def is_judge(asked: Asked) -> bool:
    return "채점" in asked.text


def kind(asked: Asked) -> Reply:
    return scored(9) if is_judge(asked) else written(asked)


def make(server: OpenAIServer, output: Path, count: int, **more: Any) -> SynthesisReport:
    return synthesize(passages(count), Endpoint(server.url, "teacher"), output, **more)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def command(server: OpenAIServer, folder: Path, *more: str) -> list[str]:
    rows = [{"id": one.id, "title": one.title, "text": one.text} for one in passages(12)]
    source = folder / "passages.jsonl"
    source.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    program = [sys.executable, "-m", "distillm2", "synthesize", str(source)]
    return [*program, "--endpoint", server.url, "--model", "teacher", "--output", str(folder / "qa.jsonl"), *more]
