"""What each epoch of a loop trains, and loops that are refused before anything runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from distillm2.cli.loop import register
from distillm2.errors import DistillationError
from distillm2.experiments.loop import check_loop
from distillm2.experiments.loop_epoch import Loop, epoch_settings, read_prompts
from distillm2.experiments.loop_server import ApiServer, CommandServer, HotLoading

SETTINGS = {
    "stage": "distillm2",
    "model_name_or_path": "base",
    "adapter_name_or_path": "sft",
    "teacher_model": "teacher",
    "template": "qwen",
    "dataset": "old",
    "val_size": 0.1,
    "output_dir": "out",
    "overwrite_output_dir": True,
    "learning_rate": 5e-5,
}


def make_loop(folder: Path, **changes: Any) -> Loop:
    """A loop over settings with some changed; None removes one."""
    responses = folder / "teacher.jsonl"
    responses.write_text('{"prompt": "q", "response": "a"}\n', encoding="utf-8")
    settings = {key: value for key, value in (SETTINGS | changes).items() if value is not None}
    return Loop(settings, responses, folder / "run", 3, ApiServer(settings))


def test_each_epoch_trains_the_last_ones_adapter_at_its_place(tmp_path: Path) -> None:
    loop = make_loop(tmp_path)
    first, third = (epoch_settings(loop, epoch, held_out=True) for epoch in (0, 2))
    assert first["adapter_name_or_path"] == "sft"
    assert third["adapter_name_or_path"] == str(tmp_path / "run" / "epoch-2" / "trained")
    assert (third["distill_first_epoch"], third["distill_total_epochs"], third["num_train_epochs"]) == (2, 3, 1)
    assert (third["dataset"], third["eval_dataset"]) == ("pairs", "pairs_validation")
    assert third["dataset_dir"] == str(tmp_path / "run" / "epoch-3" / "pairs")
    assert third["learning_rate"] == 5e-5
    assert not {"val_size", "overwrite_output_dir"} & third.keys()


def test_adapters_below_the_trained_one_stay(tmp_path: Path) -> None:
    trained = str(tmp_path / "run" / "epoch-1" / "trained")
    stacked = make_loop(tmp_path, adapter_name_or_path="merged, sft")
    assert stacked.student(0).adapters == ("merged", "sft")
    assert stacked.student(1).adapters == ("merged", trained)
    fresh = make_loop(tmp_path, create_new_adapter=True)
    assert fresh.student(1).adapters == ("sft", trained)
    assert epoch_settings(fresh, 0, held_out=False)["create_new_adapter"] is True
    assert "create_new_adapter" not in epoch_settings(fresh, 1, held_out=False)


def test_full_fine_tuning_goes_on_from_the_last_model(tmp_path: Path) -> None:
    loop = make_loop(tmp_path, adapter_name_or_path=None, finetuning_type="full")
    settings = epoch_settings(loop, 1, held_out=False)
    assert settings["model_name_or_path"] == str(tmp_path / "run" / "epoch-1" / "trained")
    assert "adapter_name_or_path" not in settings
    with pytest.raises(DistillationError, match="full fine-tuning"):
        HotLoading("http://127.0.0.1:1/v1").check(loop.student(1))


def test_a_teachers_cache_is_made_for_each_epoch(tmp_path: Path) -> None:
    settings = epoch_settings(make_loop(tmp_path, teacher_cache="mine"), 1, held_out=False)
    assert settings["teacher_cache"] == str(tmp_path / "run" / "epoch-2" / "cache")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_steps": 10}, "remove max_steps .* whole epochs"),
        ({"eval_dataset": "mine"}, "remove eval_dataset .* use val_size"),
        ({"distill_total_epochs": 3}, "remove distill_total_epochs .* use --epochs"),
        ({"template": None}, "the YAML has no template"),
        ({"val_size": 100}, "val_size is 100; the loop takes a share"),
        ({"stage": "dpo"}, "stage is 'dpo'"),
        ({"learning_rat": 1e-5}, "learning_rat is no argument of a training; did you mean learning_rate"),
        ({"teacher_model": None, "teacher_cache": "mine"}, "responses that are yet to be drawn"),
    ],
)
def test_settings_that_a_loop_cannot_follow_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DistillationError, match=message):
        check_loop(make_loop(tmp_path, **changes))


@pytest.mark.parametrize(
    "option", ["--temperature=-3", "--top-p=7", "--max-tokens=-1", "--concurrency=0", "--epochs=0"]
)
def test_sampling_out_of_range_is_refused_before_a_server_is_started(tmp_path: Path, option: str) -> None:
    app = typer.Typer()
    register(app)
    result = CliRunner().invoke(app, [str(tmp_path / "x.yaml"), "--teacher", "t.jsonl", option])
    assert result.exit_code == 2
    assert f"Invalid value for '{option.split('=')[0]}'" in result.stderr


def test_the_server_is_asked_about_every_epoch(tmp_path: Path) -> None:
    loop = make_loop(tmp_path, adapter_name_or_path=None)
    server = CommandServer("serve {adapter} {port}")
    with pytest.raises(DistillationError, match="the first epoch has none"):
        check_loop(Loop(loop.settings, loop.teacher_responses, loop.output, 3, server))


def test_prompts_are_those_with_a_teachers_response(tmp_path: Path) -> None:
    path = tmp_path / "teacher.jsonl"
    lines = [
        '{"settings": {"model": "teacher"}}',
        '{"key": "1", "messages": [{"role": "user", "content": "one"}], "sample": 0, "response": "a"}',
        '{"key": "2", "messages": [{"role": "user", "content": "two"}], "sample": 0, "error": "503"}',
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
    assert [prompt.messages[-1].content for prompt in read_prompts(path)] == ["one"]
    path.write_text(lines[0], encoding="utf-8")
    with pytest.raises(DistillationError, match="holds no response"):
        read_prompts(path)
