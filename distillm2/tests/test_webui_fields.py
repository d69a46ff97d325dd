"""The board's fields, labels, commands and hooks against the installed LLaMA-Factory, without a browser."""

from __future__ import annotations

import dataclasses
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

LOOP_FIELDS = {"distill_first_epoch", "distill_total_epochs"}  # written by `distillm2 loop`, not by people


def tab_elements() -> dict[str, Any]:
    """The components of the train tab, made as LlamaBoard makes them."""
    import gradio as gr
    from llamafactory.webui import interface
    from llamafactory.webui.components import create_top
    from llamafactory.webui.engine import Engine

    engine = Engine()
    with gr.Blocks(), gr.Tab("Train"):
        engine.manager.add_elems("top", create_top())
        elements: dict[str, Any] = interface.create_train_tab(engine)
    return elements


@pytest.fixture(scope="module")
def tabs(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, Any]]:
    """The train tab before and after registering (twice)."""
    from distillm2.stage.register import register
    from distillm2.webui.register import register_webui

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("board"))  # LlamaBoard writes DeepSpeed's configurations here
        register()
        before = tab_elements()
        register_webui()
        register_webui()
        return before, tab_elements()


def test_the_tab_keeps_its_components_and_gains_ours_once(tabs: tuple[dict[str, Any], dict[str, Any]]) -> None:
    from distillm2.webui.fields import board_fields

    before, after = tabs
    assert list(after)[: len(before)] == list(before)
    assert set(after) - set(before) == {"distillm2_tab", *board_fields()}
    siblings = after["distillm2_tab"].parent.children
    assert siblings.count(after["distillm2_tab"]) == 1
    assert siblings.index(after["distillm2_tab"]) == siblings.index(after["rlhf_tab"]) + 1


def test_every_argument_of_the_stage_has_a_field_with_its_default() -> None:
    from llamafactory.hparams.finetuning_args import FinetuningArguments

    from distillm2.stage.arguments import DistillationArguments
    from distillm2.webui.fields import board_fields

    theirs = {argument.name for argument in dataclasses.fields(FinetuningArguments)}
    ours = {
        argument.name: argument for argument in dataclasses.fields(DistillationArguments) if argument.name not in theirs
    }
    fields = board_fields()
    assert set(fields) == set(ours) - LOOP_FIELDS
    for name, field in fields.items():
        assert field.argument(field.default) == ours[name].default, name
        assert not field.choices or field.default in field.choices, name
        if field.slider:
            assert field.slider[0] <= float(field.default) <= field.slider[1], name


def test_values_become_arguments() -> None:
    from distillm2.webui.fields import board_fields

    fields = board_fields()
    assert fields["teacher_quantization_bit"].argument("4") == 4
    assert fields["teacher_quantization_bit"].argument("none") is None
    assert fields["teacher_model"].argument("  Qwen/Qwen3-8B ") == "Qwen/Qwen3-8B"
    assert fields["teacher_model"].argument("") is None
    assert isinstance(fields["distill_chunk_size"].argument(64.0), int)
    assert isinstance(fields["distill_temperature"].argument(1), float)
    assert fields["distill_sft_weight"].argument(0) == 0.0


def test_every_text_is_there_in_every_language(tabs: object) -> None:
    from llamafactory.webui.locales import ALERTS, LOCALES

    from distillm2.webui import labels

    languages = set(LOCALES["rlhf_tab"])
    for name, entry in labels.locales().items():
        assert LOCALES[name] is not None
        assert set(entry) == languages, name
        assert all(text.strip() for texts in entry.values() for text in texts.values()), name
        infos = [texts.get("info") for texts in entry.values()]
        assert infos == [None] * len(infos) or len(set(infos)) == len(infos), name  # none is left untranslated
    for name in labels.ALERTS:
        assert set(ALERTS[name]) == languages
        assert len(set(ALERTS[name].values())) == len(languages)


def shell_words(preview: str, folder: Path) -> list[str]:
    """What bash passes to the previewed command."""
    command = preview.removeprefix("```bash\n").removesuffix("\n```")
    script = 'distillm2() { printf "%s\\0" "$FORCE_TORCHRUN" "$@"; }\n' + command
    return subprocess.run(["bash", "-c", script], cwd=folder, capture_output=True, text=True, check=True).stdout.split(
        "\0"
    )


def test_the_preview_survives_a_shell(tabs: object, tmp_path: Path) -> None:
    from llamafactory.webui import runner

    (tmp_path / "a.txt").touch()
    args = {
        "stage": "distillm2",
        "teacher_model": "/models/it's $HOME; *",
        "teacher_cache": None,
        "packing": False,
        "use_dora": False,
        "distill_sft_weight": 0.0,
        "gradient_checkpointing_kwargs": {"use_reentrant": False, "이름": 'a "b"'},
        "adapters": ["a b", "c"],
    }
    assert shell_words(runner.gen_cmd(args), tmp_path)[:-1] == [
        *("", "train", "--stage", "distillm2", "--teacher_model", "/models/it's $HOME; *", "--packing", "False"),
        *("--distill_sft_weight", "0.0", "--gradient_checkpointing_kwargs"),
        '{"use_reentrant": false, "이름": "a \\"b\\""}',
        *("--adapters", "a b", "c"),
    ]
    assert shell_words(runner.gen_cmd({**args, "deepspeed": "ds.json"}), tmp_path)[0] == "1"


def test_other_stages_are_previewed_as_before(tabs: object) -> None:
    from llamafactory.webui import common, runner

    args = {"stage": "dpo", "pref_beta": 0.1, "model_name_or_path": "/models/with space"}
    assert runner.gen_cmd is not common.gen_cmd
    assert runner.gen_cmd(args) == common.gen_cmd(args)


def test_other_stages_are_started_as_before(tabs: object, tmp_path: Path) -> None:
    from llamafactory.webui import runner

    executable = tmp_path / "bin" / "llamafactory-cli"
    executable.parent.mkdir()
    executable.write_text('#!/bin/sh\necho "$0" "$@" "$MARK"\n')
    executable.chmod(0o755)
    yaml = tmp_path / "training_args.yaml"
    yaml.write_text("stage: sft\n")
    env = {**os.environ, "PATH": f"{executable.parent}:{os.environ['PATH']}", "MARK": "marked"}
    with runner.Popen(["llamafactory-cli", "train", str(yaml)], env=env, stdout=subprocess.PIPE, text=True) as process:
        assert process.communicate()[0].split() == [str(executable), "train", str(yaml), "marked"]


def test_a_board_without_a_hook_is_refused(tabs: object, monkeypatch: pytest.MonkeyPatch) -> None:
    from llamafactory.webui.manager import Manager

    from distillm2.errors import DistillationError
    from distillm2.stage.hooks import check_hooks
    from distillm2.webui.hooks import WEBUI_HOOKS

    check_hooks(WEBUI_HOOKS)
    monkeypatch.delattr(Manager, "get_base_elems")
    with pytest.raises(DistillationError, match=r"LLaMA-Factory 0\.9.*Manager.get_base_elems"):
        check_hooks(WEBUI_HOOKS)
