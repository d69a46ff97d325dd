"""What the tests of pairs share: files of responses, and the pairs built of them in a folder."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from distillm2.data.pairs import PairsReport, build_pairs


def responses(path: Path, rows: Iterable[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def row(prompt: str, response: str, **more: Any) -> dict[str, Any]:
    return {"prompt": prompt, "response": response, **more}


def build(folder: Path, teacher: list[dict[str, Any]], student: list[dict[str, Any]], **more: Any) -> PairsReport:
    return build_pairs(
        responses(folder / "t.jsonl", teacher), responses(folder / "s.jsonl", student), folder / "data", "mine", **more
    )
