"""LlamaBoard with the stage, used in headless Chromium: fields, languages, preview, configurations, a run, its plots.

``DISTILLM2_SHOTS`` names a folder for screenshots; without it none are kept.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import yaml
from board_page import Board, open_page, run_board

RUN_MS = 300_000
SPACED = "a teacher"  # a path that a shell would split


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, student: Path, teacher: Path, pairs: Path) -> Path:
    """The working directory: models, a ranking set and a set of another kind."""
    folder = tmp_path_factory.mktemp("board")
    shutil.copytree(pairs, folder / "data")
    shutil.copytree(teacher, folder / SPACED)
    shutil.copytree(student, folder / "student")
    info = folder / "data" / "dataset_info.json"
    plain = {"file_name": "pairs.json", "columns": {"prompt": "instruction", "response": "chosen"}}
    info.write_text(json.dumps({**json.loads(info.read_text()), "plain": plain}))
    return folder


@pytest.fixture(scope="module")
def page_board(folder: Path) -> Iterator[Board]:
    shots = os.environ.get("DISTILLM2_SHOTS")
    with run_board(folder) as address, open_page(address) as page:
        yield Board(page, address, Path(shots) if shots else None)


@pytest.fixture
def board(page_board: Board) -> Board:
    """A fresh page with the student and the stage chosen."""
    page_board.open()
    page_board.choose("Model name", "Custom")
    page_board.fill("Model path", "student")
    page_board.choose("Chat template", "qwen")
    page_board.choose("Stage", "DistiLLM-2")
    page_board.field("Teacher model").wait_for()  # picking the stage opens its fields
    return page_board


def fill_run(board: Board, *, output_dir: str, epochs: str) -> None:
    """All that a run on a CPU needs, with one field of each kind changed."""
    assert board.options("Dataset") == ["pairs"]
    board.choose("Dataset", "pairs")
    board.fill("Teacher model", f"./{SPACED}")
    board.choose("Beta schedule", "reference")
    board.fill("Chunk size", "64")
    board.fill("Cross-entropy share", "0.2")
    board.choose("Compute type", "fp32")
    board.fill("Epochs", epochs)
    board.fill("Gradient accumulation", "1")
    board.expand("Extra configurations")
    board.fill("Logging steps", "1")
    board.fill("Extra arguments", '{"preprocessing_num_workers": 1, "optim": "adamw_torch"}')
    board.fill("Output dir", output_dir)


def previewed(board: Board, executable: str) -> list[str]:
    """The words of the previewed command."""
    board.press("Preview command")
    command = board.page.locator("pre").filter(has_text=f"{executable} train")
    command.wait_for()
    return shlex.split(command.inner_text().replace("\\\n", " "))


def test_a_missing_teacher_is_said_in_the_users_language(board: Board) -> None:
    board.choose("Dataset", "pairs")
    board.shoot("fields_en")
    board.choose("Language", "ko")
    board.field("교사 모델").wait_for()
    assert board.value("베타 스케줄") == "paper"
    board.press("명령어 미리보기")
    board.output("교사를 지정하십시오: 교사 모델, 교사 어댑터, 교사 캐시 중 하나가 필요합니다.").wait_for()
    board.shoot("fields_ko")
    board.fill("교사 모델", "someone/teacher")
    board.fill("교사 캐시", "cache")
    board.press("명령어 미리보기")
    preview = board.page.locator("pre").filter(has_text="--teacher_cache cache")
    preview.wait_for()  # one YAML may serve `distillm2 cache` and `distillm2 train`
    assert "--teacher_model someone/teacher" in preview.inner_text()


def test_configurations_are_saved_and_loaded(board: Board, folder: Path) -> None:
    fill_run(board, output_dir="unused", epochs="1")
    words = previewed(board, "distillm2")
    board.fill("Config path", "ours.yaml")
    board.press("Save arguments")
    board.output("ours.yaml").wait_for()
    saved = yaml.safe_load((folder / "llamaboard_config" / "ours.yaml").read_text())
    assert saved["train.distill_beta_schedule"] == "reference"
    assert saved["train.distill_chunk_size"] == 64

    board.open()
    board.fill("Model path", "student")
    board.fill("Output dir", "unused")
    load(board, "ours.yaml")
    assert board.value("Beta schedule") == "reference"
    assert previewed(board, "distillm2") == words  # the dataset too is there again

    plain = {key: value for key, value in saved.items() if ".teacher_" not in key and ".distill_" not in key}
    plain |= {"train.training_stage": "DPO", "train.pref_loss": "ipo"}
    (folder / "llamaboard_config" / "plain.yaml").write_text(yaml.safe_dump(plain))
    load(board, "plain.yaml")
    words = previewed(board, "llamafactory-cli")
    assert words[:4] == ["llamafactory-cli", "train", "--stage", "dpo"]
    assert "ipo" in words
    assert not [word for word in words if word.startswith(("--teacher", "--distill"))]
    board.fill("Config path", "theirs.yaml")
    board.press("Save arguments")
    board.output("theirs.yaml").wait_for()
    assert set(yaml.safe_load((folder / "llamaboard_config" / "theirs.yaml").read_text())) == set(plain)


def load(board: Board, name: str) -> None:
    board.fill("Config path", name)
    board.press("Load arguments")
    board.output("Arguments have been restored.").wait_for()


def test_a_run_shows_its_plots_and_its_folder_restores_the_fields(board: Board, folder: Path) -> None:
    fill_run(board, output_dir="run", epochs="2")
    words = previewed(board, "distillm2")
    assert words[:2] == ["distillm2", "train"]
    flags = dict(zip(words[2::2], words[3::2], strict=True))
    assert flags["--teacher_model"] == f"./{SPACED}"
    assert flags["--distill_beta_schedule"] == "reference"
    assert flags["--distill_alpha_schedule"] == "adaptive"
    board.shoot("preview")

    board.press("Start")
    output = folder / "saves" / "Custom" / "lora" / "run"
    figure = board.page.get_by_test_id("matplotlib").locator("img")
    figure.wait_for(timeout=RUN_MS)
    board.output("Finished.").wait_for(timeout=RUN_MS)
    assert figure.evaluate("image => image.complete && image.naturalHeight > image.naturalWidth")
    board.shoot("run")
    assert (output / "adapter_model.safetensors").exists()
    rows = [json.loads(line) for line in (output / "distill_log.jsonl").read_text().splitlines()]
    assert {"distill/skl", "distill/srkl", "distill/beta", "distill/gap_teacher", "distill/sft"} <= set(rows[0])
    started = yaml.safe_load((output / "training_args.yaml").read_text())
    assert {name: str(value) for name, value in started.items()} == {
        name.removeprefix("--"): value for name, value in flags.items()
    }

    board.open()
    board.choose("Model name", "Custom")
    board.fill("Output dir", "run")
    board.page.get_by_text("Output dir already exists").first.wait_for()
    board.field("Beta schedule").wait_for()
    assert board.value("Beta schedule") == "reference"
    assert board.value("Chunk size") == "64"


def test_a_run_can_be_aborted(board: Board, folder: Path) -> None:
    fill_run(board, output_dir="long", epochs="500")
    board.press("Start")
    log = folder / "saves" / "Custom" / "lora" / "long" / "distill_log.jsonl"
    board.page.get_by_test_id("matplotlib").locator("img").wait_for(timeout=RUN_MS)
    trainings = [
        process
        for process in psutil.process_iter(["cmdline"])
        if str(log.parent.relative_to(folder)) in " ".join(process.info["cmdline"] or [])
    ]
    assert ["-m", "distillm2", "train"] in [training.info["cmdline"][2:5] for training in trainings]
    board.open()  # a page opened meanwhile follows the same run
    board.page.get_by_test_id("matplotlib").locator("img").wait_for(timeout=RUN_MS)
    assert board.value("Beta schedule") == "reference"
    board.press("Abort")
    board.output("Finished.").wait_for(timeout=RUN_MS)
    assert not psutil.wait_procs(trainings, timeout=20)[1]
    assert json.loads(log.read_text().splitlines()[-1])["current_steps"] < 4000
    assert (log.parent / "adapter_model.safetensors").exists()
