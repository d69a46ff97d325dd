"""Files of pairs: what others wrote is kept, and both sides were rendered as in training."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pairs_building import build, responses, row

from distillm2.cli.main import main
from distillm2.data.dataset_info import check_free, dataset_place, register
from distillm2.data.templates import TrainingTemplate
from distillm2.errors import DistillationError


def test_others_entries_are_kept_and_not_taken_over(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    info = tmp_path / "data" / "dataset_info.json"
    theirs = {"theirs": {"file_name": "theirs.json", "columns": {"prompt": "질문"}}, "hub": {"hf_hub_url": "a/b"}}
    info.write_text(json.dumps(theirs), encoding="utf-8")
    build(tmp_path, [row("질문", "답")], [row("질문", "제자")], validation=0)
    assert json.loads(info.read_text(encoding="utf-8")).items() >= theirs.items()
    before = info.read_bytes()
    with pytest.raises(DistillationError, match="'hub' of another origin"):
        register(tmp_path / "data", {"hub": ([{"a": 1}], {})})
    assert info.read_bytes() == before
    info.write_text("{broken", encoding="utf-8")
    with pytest.raises(DistillationError, match="nothing was written"):
        register(tmp_path / "data", {"new": ([{"a": 1}], {})})
    assert info.read_text(encoding="utf-8") == "{broken"
    assert not (tmp_path / "data" / "new.json").exists()


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_sets_of_others_are_neither_replaced_nor_deleted(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    by_hand = {"columns": {"prompt": "instruction", "query": "input", "response": "output"}}
    for name in ("mine", "mine_validation", "loose"):
        (data / f"{name}.json").write_text(json.dumps([{"instruction": name, "output": "precious"}]), encoding="utf-8")
    info = {name: {"file_name": f"{name}.json", **by_hand} for name in ("mine", "mine_validation")}
    (data / "dataset_info.json").write_text(json.dumps(info), encoding="utf-8")
    (data / "noted.report.json").write_text("{}", encoding="utf-8")
    before = content(data)
    with pytest.raises(DistillationError, match="'mine' of another origin"):
        build(tmp_path, [row("질문", "답")], [row("질문", "제자")], validation=0)
    for name, said in (
        ("mine_validation", "'mine_validation' of another origin"),
        ("loose", r"loose\.json is of another origin"),
        ("noted", r"noted\.report\.json is of another origin"),
        ("dataset_info", "'dataset_info' and names that end in .report are taken"),
        ("noted.report", "names that end in .report are taken"),
    ):
        for rows in ([], [{"a": 1}]):
            with pytest.raises(DistillationError, match=said):
                register(data, {name: (rows, by_hand)})
    assert content(data) == before


def test_what_was_written_is_known_again_unless_it_was_changed(tmp_path: Path) -> None:
    data, entry = tmp_path / "data", {"columns": {"prompt": "a"}}
    register(data, {"mine": ([{"a": 1}], entry)})
    register(data, {"mine": ([{"a": 2}], entry)})
    with pytest.raises(DistillationError, match="'mine' of another origin"):
        register(data, {"mine": ([{"a": 2}], entry | {"ranking": True})})
    (data / "dataset_info.json").unlink()  # as after a stop between the file and its entry
    register(data, {"mine": ([{"a": 2}], entry)})
    check_free(data, "mine")
    (data / "mine.json").write_text('[{"a": "mended by hand"}]', encoding="utf-8")
    before = content(data)
    for rows in ([], [{"a": 3}]):
        with pytest.raises(DistillationError, match=r"mine\.json was changed after distillm2 wrote it"):
            register(data, {"mine": (rows, entry)})
    with pytest.raises(DistillationError, match="was changed"):
        check_free(data, "mine")
    assert content(data) == before


@pytest.mark.parametrize("place", ["data/my qa,b", "data/", "data/.", "data", "data/..", "data/dataset_info"])
def test_places_that_are_no_dataset_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path)
    assert dataset_place("data/my_qa") == (Path("data"), "my_qa")
    with pytest.raises(DistillationError, match=r"is a folder: give DIR/NAME|Dataset name"):
        dataset_place(place)


def commanded(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The exit status of the command line."""
    monkeypatch.setattr("sys.argv", ["distillm2", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_the_command_names_files_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    teacher, student = responses(Path("t"), [row("질문", "답")]), responses(Path("s"), [row("질문", "제자")])
    command = ["pairs", "--teacher", str(teacher), "--student", str(student), "--name", "mine", "--output"]
    assert commanded(monkeypatch, *command, "[old]") == 0
    assert "Pairs in [old]/dataset_info.json" in capsys.readouterr().out
    assert commanded(monkeypatch, *command, "t/below") == 1
    assert capsys.readouterr().err == "error: t/below: Not a directory\n"


@pytest.mark.parametrize(
    ("place", "said"), [("data/", "'data/' is a folder"), ("new/my qa", "'my qa'"), ("data/theirs", "another origin")]
)
def test_the_place_of_questions_is_checked_before_any_is_asked(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    place: str,
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    Path("data/theirs.json").write_text("[]", encoding="utf-8")
    Path("p.jsonl").write_text('{"id": "a", "text": "글"}\n', encoding="utf-8")
    nobody = ["--endpoint", "http://127.0.0.1:9/v1", "--model", "m"]
    assert commanded(monkeypatch, "synthesize", "p.jsonl", *nobody, "--output", "qa.jsonl", "--register", place) == 1
    assert said in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "p.jsonl"]


def header(**settings: Any) -> dict[str, Any]:
    known = {"template": "qwen3", "thinking": False, "default_system": None, "vocabulary": "5e1f"}
    return {"settings": {"model": "m", "rendering": "training template"} | known | settings}


@pytest.mark.parametrize(
    ("student", "said"),
    [
        (
            header(template="qwen"),
            "template is 'qwen3' in the teacher's responses and 'qwen' in the student's responses",
        ),
        (header(thinking=None), "thinking is False .* and True in the student's"),
        (header(default_system="짧게"), "default_system is None .* and '짧게'"),
        (header(vocabulary="77"), "vocabulary is '5e1f' .* and '77'"),
    ],
)
def test_sides_that_were_rendered_otherwise_are_refused(tmp_path: Path, student: dict[str, Any], said: str) -> None:
    with pytest.raises(DistillationError, match=said):
        build(tmp_path, [header(), row("질문", "답")], [student, row("질문", "제자")])
    assert not (tmp_path / "data").exists()


def test_the_options_must_render_as_the_files_say(tmp_path: Path) -> None:
    options = TrainingTemplate("qwen3_nothink", False, None, None, SimpleNamespace(get_vocab=dict), None)
    with pytest.raises(
        DistillationError, match="template is 'qwen3_nothink' in these options and 'qwen3' in the teach"
    ):
        build(tmp_path, [header(), row("질문", "답")], [header(), row("질문", "제자")], template=options)


def test_a_side_that_its_server_rendered_is_said(tmp_path: Path) -> None:
    served = {"settings": {"model": "m", "rendering": "chat template of the server", "thinking": None}}
    report = build(tmp_path, [served, row("질문", "답")], [header(), row("질문", "제자")], validation=0)
    assert [warning[:38] for warning in report.warnings] == [
        "The teacher's server rendered its prom",
        "Lengths were not checked: give --templ",
    ]
    report = build(tmp_path, [header(), row("질문", "답")], [header(), row("질문", "제자")], validation=0)
    assert len(report.warnings) == 1


def test_the_same_responses_on_both_sides_are_found(tmp_path: Path) -> None:
    rows = [row(f"질문 {number}", f"답 {number}") for number in range(10)]
    with pytest.raises(DistillationError, match="hold the same"):
        build(tmp_path, rows, rows)
    report = build(tmp_path, rows, [*rows[:9], row("질문 9", "제자")], validation=0)
    assert "9 of 10 joined pairs have identical responses" in report.warnings[0]
    report = build(tmp_path, rows, [*rows[:8], row("질문 8", "제자"), row("질문 9", "제자")], validation=0)
    assert not any("identical" in warning for warning in report.warnings)
