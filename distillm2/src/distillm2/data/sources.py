"""Reading rows and prompts: JSONL, a JSON list, or a dataset of a LLaMA-Factory dataset folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from distillm2.data.journal import is_header
from distillm2.data.records import Prompt, as_prompt, messages_of, parse_prompt
from distillm2.errors import DistillationError

Parsed = TypeVar("Parsed")
SHOWN = 10
SHAREGPT_TAGS = {
    "role_tag": "from",
    "content_tag": "value",
    "user_tag": "human",
    "assistant_tag": "gpt",
    "system_tag": "system",
}


@dataclass(frozen=True)
class Row:
    """A row of a file; ``place`` is its file and its line or position."""

    place: str
    value: Any


def load_prompts(source: str | Path, dataset_dir: Path | None = None) -> list[Prompt]:
    """The prompts of a JSONL or JSON file; with ``dataset_dir``, of the dataset of that name in its dataset_info.json.

    A file of responses may be given too: its prompts are asked again.

    Raises:
        DistillationError: a file that cannot be read, or bad rows, each with file and line; nothing is skipped.
    """
    if dataset_dir is not None:
        path, parse = _dataset(str(source), dataset_dir)
    else:
        path, parse = Path(source), parse_prompt
    prompts = parse_rows([row for row in read_rows(path) if not is_header(row.value)], parse)
    if not prompts:
        raise DistillationError(f"{path} holds no prompts.")
    return prompts


def read_rows(path: Path) -> list[Row]:
    """All rows of a ``.json`` list or of a file with a JSON value on each line; blank lines are no rows."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DistillationError(f"{path} cannot be read: {error}") from error
    if path.suffix == ".json":
        try:
            values = json.loads(text)
        except json.JSONDecodeError as error:
            raise DistillationError(f"{path}:{error.lineno}: not JSON: {error.msg}") from error
        if not isinstance(values, list):
            raise DistillationError(f"{path} must hold a JSON list; for one object a line name it .jsonl.")
        return [Row(f"{path}, item {number}", value) for number, value in enumerate(values, 1)]
    lines = [Row(f"{path}:{number}", line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    return [Row(row.place, value) for row, value in zip(lines, parse_rows(lines, _json_line), strict=True)]


def parse_rows(rows: list[Row], parse: Callable[[Any], Parsed]) -> list[Parsed]:
    """Each row's value parsed; all bad rows are named in one error, so that they can be mended at once."""
    parsed: list[Parsed] = []
    bad: list[str] = []
    for row in rows:
        try:
            parsed.append(parse(row.value))
        except (ValueError, TypeError) as error:
            bad.append(f"{row.place}: {error}")
    if bad:
        more = f"\n... and {len(bad) - SHOWN} more" if len(bad) > SHOWN else ""
        raise DistillationError("\n".join(bad[:SHOWN]) + more)
    return parsed


def _json_line(line: str) -> Any:
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} at column {error.colno}") from error


def _dataset(name: str, folder: Path) -> tuple[Path, Callable[[Any], Prompt]]:
    info_path = folder / "dataset_info.json"
    try:
        info = json.loads(info_path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DistillationError(f"{info_path} cannot be read: {error}") from error
    if not isinstance(info, dict):
        raise DistillationError(f"{info_path} must hold a JSON object of datasets.")
    if name not in info:
        raise DistillationError(f"No dataset {name!r} in {info_path}; it has {', '.join(sorted(info)) or 'none'}.")
    entry = info[name]
    named = [entry.get("columns", {}), entry.get("tags", {})] if isinstance(entry, dict) else [None]
    if not all(isinstance(names, dict) and all(isinstance(one, str) for one in names.values()) for names in named):
        raise DistillationError(
            f"Dataset {name!r} of {info_path} must be an object whose columns and tags are objects of names."
        )
    file_name = entry.get("file_name")
    if not isinstance(file_name, str) or not file_name.endswith((".json", ".jsonl")):
        raise DistillationError(
            f"Dataset {name!r} of {info_path} is {file_name or 'not a local file'}; prompts are read from .json and "
            ".jsonl files: download or convert it first."
        )
    formatting = entry.get("formatting", "alpaca")
    if formatting not in ("alpaca", "sharegpt", "openai"):
        raise DistillationError(f"Dataset {name!r} has formatting {formatting!r}; alpaca, sharegpt or openai is read.")
    return folder / file_name, partial(_alpaca_prompt if formatting == "alpaca" else _chat_prompt, entry)


def _alpaca_prompt(entry: Mapping[str, Any], row: Any) -> Prompt:
    # When an entry names columns, LLaMA-Factory leaves those it does not name unread.
    columns = entry.get("columns", {"prompt": "instruction", "query": "input", "history": "history"})
    if not isinstance(row, Mapping):
        raise ValueError("an object is needed")
    found = {part: row.get(columns[part]) for part in ("prompt", "query", "history", "system") if part in columns}
    return parse_prompt(
        {
            "instruction": found.get("prompt"),
            "input": found.get("query"),
            "history": found.get("history"),
            "system": found.get("system"),
        }
    )


def _chat_prompt(entry: Mapping[str, Any], row: Any) -> Prompt:
    columns = entry.get("columns", {"messages": "conversations"})
    tags = SHAREGPT_TAGS | entry.get("tags", {})
    if not isinstance(row, Mapping):
        raise ValueError("an object is needed")
    roles = {tags["user_tag"]: "user", tags["assistant_tag"]: "assistant", tags["system_tag"]: "system"}
    messages = messages_of(row.get(columns.get("messages", "")), tags["role_tag"], tags["content_tag"])
    renamed = [type(turn)(roles.get(turn.role, turn.role), turn.content) for turn in messages]
    system = row.get(columns["system"]) if "system" in columns else None
    return as_prompt(renamed, system)
