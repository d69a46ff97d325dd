"""Reading prompts and passages: every form, datasets of a dataset folder, and bad rows named by file and line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from distillm2.data.passages import load_passages
from distillm2.data.records import Message, Prompt, parse_prompt
from distillm2.data.sources import load_prompts
from distillm2.errors import DistillationError


def written(path: Path, rows: list[Any]) -> Path:
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    return path


def dataset(folder: Path, entry: dict[str, Any], rows: list[Any]) -> None:
    (folder / "rows.json").write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    (folder / "dataset_info.json").write_text(json.dumps({"mine": {"file_name": "rows.json", **entry}}))


def test_rows_in_all_forms(tmp_path: Path) -> None:
    path = written(
        tmp_path / "p.jsonl",
        [
            {"prompt": "하나"},
            {"instruction": "요약하라", "input": "긴 글", "output": "답"},
            {"instruction": "", "input": "글만", "output": "답"},
            {"instruction": "둘", "input": "", "system": "짧게", "history": [["전에", "그랬다"]]},
            {"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]},
            {"messages": [{"role": "user", "content": "u"}, {"role": "assistant", "content": "a"}]},
        ],
    )
    turns = [[(message.role, message.content) for message in prompt.messages] for prompt in load_prompts(path)]
    assert turns == [
        [("user", "하나")],
        [("user", "요약하라\n긴 글")],
        [("user", "글만")],
        [("system", "짧게"), ("user", "전에"), ("assistant", "그랬다"), ("user", "둘")],
        [("system", "s"), ("user", "u")],
        [("user", "u")],
    ]


def test_a_json_list_is_read_as_jsonl_is(tmp_path: Path) -> None:
    rows = [{"prompt": "하나"}, {"prompt": "둘"}]
    (tmp_path / "p.json").write_text(json.dumps(rows), encoding="utf-8")
    assert load_prompts(tmp_path / "p.json") == load_prompts(written(tmp_path / "p.jsonl", rows))


def test_all_bad_rows_are_named_with_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text(
        '{"prompt": "good"}\n\n{"prompt": ""}\n[1]\n{"prompt": 3}\n{"prompt": "a", "instruction": "b"}\n'
        '{"messages": [{"role": "assistant", "content": "a"}]}\n{"prompt": "\\ud800"}\n',
        encoding="utf-8",
    )
    with pytest.raises(DistillationError) as caught:
        load_prompts(path)
    named = str(caught.value).splitlines()
    assert [line.split(": ")[0] for line in named] == [f"{path}:{number}" for number in (3, 4, 5, 6, 7, 8)]
    path.write_text('{"prompt": "good"}\n{"prompt": \n', encoding="utf-8")
    with pytest.raises(DistillationError, match=r"p\.jsonl:2: not JSON"):
        load_prompts(path)


@pytest.mark.parametrize("text", ["", "\n\n"])
def test_no_prompts_is_an_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "p.jsonl").write_text(text, encoding="utf-8")
    with pytest.raises(DistillationError, match="holds no prompts"):
        load_prompts(tmp_path / "p.jsonl")


def test_alpaca_dataset_with_its_own_columns(tmp_path: Path) -> None:
    columns = {"prompt": "ask", "query": "with", "system": "as", "response": "output"}
    dataset(tmp_path, {"columns": columns}, [{"ask": "요약하라", "with": "글", "as": "짧게", "input": "unread"}])
    expected = Prompt((Message("system", "짧게"), Message("user", "요약하라\n글")))
    assert load_prompts("mine", tmp_path) == [expected]


def test_sharegpt_dataset_asks_for_the_last_answer(tmp_path: Path) -> None:
    turns = [("human", "하나"), ("gpt", "답"), ("human", "둘"), ("gpt", "답")]
    rows = [{"conversations": [{"from": role, "value": text} for role, text in turns], "rule": "짧게"}]
    entry = {"formatting": "sharegpt", "columns": {"messages": "conversations", "system": "rule"}}
    dataset(tmp_path, entry, rows)
    (prompt,) = load_prompts("mine", tmp_path)
    assert prompt.system == "짧게"
    assert [turn.content for turn in prompt.turns] == ["하나", "답", "둘"]


def test_ranking_dataset_gives_its_prompts(tmp_path: Path) -> None:
    columns = {"prompt": "instruction", "query": "input", "chosen": "chosen", "rejected": "rejected"}
    rows = [{"instruction": "하나", "input": "둘", "chosen": "답", "rejected": "제자"}]
    dataset(tmp_path, {"ranking": True, "columns": columns}, rows)
    assert load_prompts("mine", tmp_path) == [Prompt((Message("user", "하나\n둘"),))]


def test_datasets_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    dataset(tmp_path, {}, [])
    with pytest.raises(DistillationError, match=r"No dataset 'other' .* it has mine"):
        load_prompts("other", tmp_path)
    (tmp_path / "dataset_info.json").write_text(json.dumps({"mine": {"hf_hub_url": "a/b"}}))
    with pytest.raises(DistillationError, match="not a local file"):
        load_prompts("mine", tmp_path)


@pytest.mark.parametrize(
    ("info", "said"),
    [
        ([1], "must hold a JSON object"),
        ({"mine": "y"}, "must be an object"),
        ({"mine": {"file_name": "rows.json", "columns": ["prompt"]}}, "must be an object"),
        ({"mine": {"file_name": "rows.json", "columns": {"prompt": ["a"]}}}, "must be an object"),
        ({"mine": {"file_name": "rows.json", "tags": {"role_tag": 1}}}, "must be an object"),
        ({"mine": {"file_name": 3}}, "prompts are read from .json"),
    ],
)
def test_a_broken_dataset_info_is_named(tmp_path: Path, info: Any, said: str) -> None:
    (tmp_path / "dataset_info.json").write_text(json.dumps(info))
    with pytest.raises(DistillationError, match=said):
        load_prompts("mine", tmp_path)


def test_white_space_and_composition_do_not_make_another_prompt() -> None:
    one = parse_prompt({"prompt": "연차는  며칠인가요?\n"})
    decomposed = parse_prompt({"prompt": "\u110b\u1167\u11ab\u110e\u1161는 며칠인가요?"})
    assert one.key == decomposed.key != parse_prompt({"prompt": "연차는 며칠인가?"}).key


def test_passages_from_files_and_folders(tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    (folder / "hr").mkdir(parents=True)
    (folder / "hr" / "leave.md").write_text("# 휴가\n연차휴가는 15일이다.", encoding="utf-8")
    (folder / "travel.txt").write_text("Travel expenses are settled in seven days.", encoding="utf-8")
    (folder / "logo.png").write_bytes(b"\x89PNG")
    from_folder = load_passages(folder)
    assert [(passage.id, passage.title, passage.language) for passage in from_folder] == [
        ("hr/leave.md", "leave", "ko"),
        ("travel.txt", "travel", "en"),
    ]
    rows = [{"id": passage.id, "title": passage.title, "text": passage.text} for passage in from_folder]
    assert load_passages(written(tmp_path / "p.jsonl", rows)) == from_folder


def test_bad_passages_are_named(tmp_path: Path) -> None:
    path = written(tmp_path / "p.jsonl", [{"id": 1, "text": "글"}, {"id": 2}, {"text": "글"}])
    with pytest.raises(DistillationError, match=r"(?s)p\.jsonl:2: .*p\.jsonl:3: no id"):
        load_passages(path)
    with pytest.raises(DistillationError, match="'1' comes twice"):
        load_passages(written(path, [{"id": 1, "text": "글"}, {"id": "1", "text": "다른 글"}]))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DistillationError, match="holds no passages"):
        load_passages(tmp_path / "empty")
