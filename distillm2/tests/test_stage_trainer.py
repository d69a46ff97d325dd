"""The stage in LLaMA-Factory, in one process: fine-tuning types, precision, accumulation, teachers, evaluation."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file
from tiny_models import make_model
from training_runs import TrainingRun, train, training_settings
from transformers import AutoModelForCausalLM

from distillm2.errors import DistillationError

VOCABULARY = 416  # the student's rows, fewer than the teacher's
Distil = Callable[..., TrainingRun]
FIXED = {"distill_alpha_schedule": "fixed", "distill_beta_schedule": "fixed"}


@pytest.fixture(scope="module")
def distil(student: Path, teacher: Path, pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> Distil:
    """Train in this process; ``student`` and ``teacher`` may be given."""
    from distillm2.stage.register import register

    register()
    from llamafactory.train.tuner import run_exp

    folder = tmp_path_factory.mktemp("trained")

    def distil(name: str, **settings: Any) -> TrainingRun:
        models = {"student": student, "teacher": teacher} | {
            key: settings.pop(key) for key in ("student", "teacher") if key in settings
        }
        given = training_settings(models["student"], pairs, folder / name, models["teacher"], **settings)
        torch.set_num_threads(1)
        run_exp(given)
        return TrainingRun(folder / name, 0, "")

    return distil


def losses(run: TrainingRun) -> list[float]:
    return [line["loss"] for line in run.read_log("distill_log.jsonl") if "loss" in line]


def weights(run: TrainingRun) -> dict[str, torch.Tensor]:
    name = "adapter_model.safetensors" if (run.folder / "adapter_config.json").exists() else "model.safetensors"
    return load_file(run.folder / name)


def assert_same_weights(one: TrainingRun, other: TrainingRun, tolerance: float) -> None:
    ours, theirs = weights(one), weights(other)
    assert ours.keys() == theirs.keys()
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name], rtol=0, atol=tolerance, msg=name)


@pytest.fixture(scope="module")
def plain(distil: Distil) -> TrainingRun:
    return distil("plain", **FIXED, lora_dropout=0.0)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("full", {"finetuning_type": "full", "learning_rate": 1e-3}),
        ("full in bf16", {"finetuning_type": "full", "learning_rate": 1e-3, "bf16": True}),
        ("freeze", {"finetuning_type": "freeze", "freeze_trainable_layers": 1}),
        ("lora in bf16", {"bf16": True}),
        ("lora on the head", {"lora_target": "q_proj,v_proj,lm_head"}),
        ("head beside the lora, bf16", {"additional_target": "lm_head", "bf16": True}),
        ("dora", {"use_dora": True}),
        ("4-bit student", {"quantization_bit": 4}),
    ],
)
def test_the_loss_falls(distil: Distil, name: str, settings: dict[str, Any]) -> None:
    found = losses(distil(name, **FIXED, **settings))
    assert len(found) == 6
    assert found[-1] < 0.95 * found[0]


def test_bf16_stays_close_to_fp32(distil: Distil, plain: TrainingRun) -> None:
    assert losses(distil("bf16", **FIXED, bf16=True)) == pytest.approx(losses(plain), rel=0.01)


def test_accumulation_equals_the_large_batch(distil: Distil, plain: TrainingRun) -> None:
    halves = distil("halves", **FIXED, per_device_train_batch_size=1, gradient_accumulation_steps=4)
    assert_same_weights(halves, plain, 1e-5)
    assert losses(halves) == pytest.approx(losses(plain), abs=1e-5)


def test_gradient_checkpointing_changes_nothing(distil: Distil, plain: TrainingRun) -> None:
    assert_same_weights(distil("kept", **FIXED, disable_gradient_checkpointing=True), plain, 1e-6)


def test_chunks_change_nothing(distil: Distil, plain: TrainingRun) -> None:
    assert_same_weights(distil("chunks", **FIXED, distill_chunk_size=7), plain, 1e-5)


def test_the_logged_loss_is_made_of_the_logged_divergences(distil: Distil, plain: TrainingRun) -> None:
    for line in plain.read_log("distill_log.jsonl"):
        assert line["loss"] == pytest.approx(line["distill/skl"] + line["distill/srkl"], rel=1e-5)
    for line in distil("paper", distill_alpha_schedule="fixed").read_log("distill_log.jsonl"):
        beta = line["distill/beta"]
        expected = (1 - beta) * line["distill/skl"] + beta * line["distill/srkl"]
        assert line["loss"] == pytest.approx(expected, rel=1e-5)


def test_the_first_loss_is_that_of_the_dense_formula(
    distil: Distil, student: Path, teacher: Path, pairs: Path, tmp_path: Path
) -> None:
    """Both models' logits in float64 and the divergences written out, over all pairs at once."""
    from distillm2.stage.data import load_pairs
    from distillm2.stage.register import read_training_arguments

    run = distil("whole", **FIXED, per_device_train_batch_size=16, max_steps=1)
    given = training_settings(student, pairs, tmp_path, teacher)
    rows = load_pairs(*read_training_arguments(given)[:3]).dataset_module["train_dataset"]
    models = [AutoModelForCausalLM.from_pretrained(path, dtype=torch.float64).eval() for path in (teacher, student)]
    totals = {"chosen": 0.0, "rejected": 0.0}
    for row in rows:
        for side in totals:
            tokens, labels = torch.tensor([row[f"{side}_input_ids"]]), torch.tensor(row[f"{side}_labels"])[1:]
            with torch.no_grad():
                p, q = (model(tokens).logits[0, :-1, :VOCABULARY].softmax(-1) for model in models)
            first, second = (p, q) if side == "chosen" else (q, p)
            divergence = (first * (first / (0.1 * first + 0.9 * second)).log()).sum(-1)
            totals[side] += float(divergence[labels != -100].mean()) / len(rows)
    (line,) = run.read_log("distill_log.jsonl")
    assert line["distill/skl"] == pytest.approx(totals["chosen"], rel=1e-5)
    assert line["distill/srkl"] == pytest.approx(totals["rejected"], rel=1e-5)


def test_cross_entropy_has_its_share(distil: Distil) -> None:
    run = distil("mixed", **FIXED, distill_sft_weight=0.25, max_steps=1)
    (line,) = run.read_log("distill_log.jsonl")
    expected = 0.75 * (line["distill/skl"] + line["distill/srkl"]) + 0.25 * line["distill/sft"]
    assert line["loss"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("loss", ["distillm", "kl", "rkl", "js"])
def test_the_baselines_train(distil: Distil, loss: str) -> None:
    run = distil(loss, distill_beta_schedule="fixed", distill_loss=loss)
    assert losses(run)[3] < 0.95 * losses(run)[0]  # in the first epoch: a smaller alpha makes a larger loss
    alphas = [line.get("distill/alpha_teacher") for line in run.read_log("distill_log.jsonl") if "loss" in line]
    if loss == "distillm":
        assert alphas[-1] < 0.09
    else:
        assert alphas == ([pytest.approx(0.1)] * 6 if loss == "js" else [None] * 6)


def test_evaluation_is_the_same_whatever_the_schedules_say(distil: Distil) -> None:
    settings: dict[str, Any] = {"eval_dataset": "pairs", "do_eval": True, "do_train": False}
    first = distil("eval one", **settings, distill_beta_schedule="reference")
    other = distil("eval two", **settings, per_device_eval_batch_size=3, **FIXED)
    found = [json.loads((run.folder / "eval_results.json").read_text()) for run in (first, other)]
    for name in ("eval_loss", "eval_kl", "eval_rkl", "eval_nll"):
        assert found[0][name] == pytest.approx(found[1][name], rel=1e-5)
        assert found[0][name] > 0
    harder = distil("eval three", **settings, distill_loss="kl", distill_temperature=2.0, distill_alpha=0.5)
    metrics = json.loads((harder.folder / "eval_results.json").read_text())
    assert metrics["eval_kl"] == pytest.approx(found[0]["eval_kl"], rel=1e-5)
    assert metrics["eval_loss"] != pytest.approx(found[0]["eval_loss"], rel=0.01)


def test_evaluation_during_training_leaves_the_training_as_it_is(distil: Distil, plain: TrainingRun) -> None:
    run = distil("evaluated", **FIXED, eval_dataset="pairs", eval_strategy="steps", eval_steps=2, plot_loss=True)
    assert_same_weights(run, plain, 1e-6)
    evaluated = [line for line in run.read_log("distill_log.jsonl") if "eval_loss" in line]
    assert [line["current_steps"] for line in evaluated] == [2, 4, 6, 6]
    assert evaluated[-1]["eval_kl"] < evaluated[0]["eval_kl"]
    for name in ("loss", "distill_skl", "distill_srkl", "distill_beta", "distill_gap_teacher", "eval_loss"):
        assert (run.folder / f"training_{name}.png").stat().st_size > 0


def test_alpha_follows_the_gap_from_the_second_epoch_on(distil: Distil) -> None:
    run = distil("adaptive", finetuning_type="full", learning_rate=1e-3, max_steps=8, distill_beta_schedule="fixed")
    lines = run.read_log("distill_log.jsonl")
    assert [line["distill/alpha_teacher"] for line in lines[:4]] == pytest.approx([0.1] * 4)
    later = [line[f"distill/alpha_{side}"] for line in lines[4:] for side in ("teacher", "student")]
    assert all(0.01 - 1e-6 <= value <= 0.1 + 1e-6 for value in later)
    assert min(later) < 0.09
    anchor = json.loads((run.folder / "distill_state.json").read_text())["anchor"]
    assert anchor == pytest.approx([lines[0]["distill/gap_teacher"], lines[0]["distill/gap_student"]])


def test_two_runs_of_an_epoch_stand_where_one_run_of_two_stands(distil: Distil, student: Path) -> None:
    common: dict[str, Any] = {
        "max_steps": -1,
        "finetuning_type": "full",
        "learning_rate": 1e-3,
        "lr_scheduler_type": "cosine",
        "warmup_steps": 2,
    }
    whole = distil("two epochs", **common, num_train_epochs=2).read_log("distill_log.jsonl")
    parts = common | {"num_train_epochs": 1, "distill_total_epochs": 2}
    first = distil("first epoch", **parts)
    second = distil("second epoch", **parts, student=first.folder, distill_first_epoch=1)
    assert [line["learning_rate"] for line in second.read_log("distill_log.jsonl")] == pytest.approx(
        [line["learning_rate"] for line in whole[4:]]
    )
    for name in ("distill/beta", "distill/alpha_teacher", "distill/gap_teacher"):
        lines = first.read_log("distill_log.jsonl") + second.read_log("distill_log.jsonl")
        assert [line[name] for line in lines[:5]] == pytest.approx([line[name] for line in whole[:5]], abs=0.05)
    anchors = [json.loads((run.folder / "distill_state.json").read_text())["anchor"] for run in (first, second)]
    assert anchors[0] == anchors[1]


def test_a_part_that_ends_before_its_first_log_leaves_an_anchor(distil: Distil) -> None:
    run = distil("unlogged", max_steps=2, logging_steps=50)
    state = json.loads((run.folder / "distill_state.json").read_text())
    assert state["anchor"] == pytest.approx(
        [state["sums"][f"gap_{side}"][0] / state["sums"][f"gap_{side}"][1] for side in ("teacher", "student")]
    )


def test_a_part_without_the_one_before_is_refused(distil: Distil) -> None:
    with pytest.raises(DistillationError, match=r"distill_state.json is missing, .* no anchor"):
        distil("orphan", max_steps=-1, num_train_epochs=1, distill_first_epoch=1, distill_total_epochs=2)


def test_averages_go_on_from_a_checkpoint_with_a_fixed_alpha(distil: Distil) -> None:
    settings: dict[str, Any] = {"max_steps": 4, "logging_steps": 4}
    whole = distil("saved", **FIXED, **settings, save_strategy="steps", save_steps=3)
    checkpoint = whole.folder / "checkpoint-3"
    resumed = distil("resumed", **FIXED, **settings, resume_from_checkpoint=str(checkpoint))
    (ours,), (theirs,) = (run.read_log("distill_log.jsonl") for run in (resumed, whole))
    assert ours["distill/skl"] == pytest.approx(theirs["distill/skl"], rel=1e-6)
    (checkpoint / "distill_state.json").unlink()
    with pytest.raises(DistillationError, match="was saved with save_only_model: true, or not by stage distillm2"):
        distil("without anchor", **settings, resume_from_checkpoint=str(checkpoint))


def test_a_lora_teacher_shares_the_students_base(distil: Distil, plain: TrainingRun) -> None:
    shared = distil("shared", **FIXED, teacher=None, teacher_adapter=str(plain.folder))
    found = losses(shared)
    assert found[-1] < 0.5 * found[0]
    assert not [name for name in weights(shared) if "teacher" in name]
    assert not list(shared.folder.glob("*/adapter_model.safetensors"))
    evaluated = distil(
        "shared, evaluated",
        **FIXED,
        teacher=None,
        teacher_adapter=str(plain.folder),
        adapter_name_or_path=str(shared.folder),
        eval_dataset="pairs",
        do_train=False,
        do_eval=True,
    )
    assert json.loads((evaluated.folder / "eval_results.json").read_text())["eval_loss"] < 0.5 * found[0]
    own = distil("full student", **FIXED, finetuning_type="full", teacher=None, teacher_adapter=str(plain.folder))
    assert losses(own)[0] == pytest.approx(found[0], rel=1e-5)


def test_a_shared_base_is_held_once(student: Path, plain: TrainingRun) -> None:
    from distillm2.stage.arguments import DistillationArguments
    from distillm2.teacher.online import OnlineTeacher

    base = AutoModelForCausalLM.from_pretrained(student).requires_grad_(False)
    model = get_peft_model(base, LoraConfig(r=4, target_modules=["q_proj", "down_proj"]))
    arguments = DistillationArguments(stage="distillm2", teacher_adapter=str(plain.folder))
    teacher = OnlineTeacher.on_student(model, arguments).model
    own = {id(p) for p in teacher.parameters()} - {id(p) for p in model.parameters()}
    assert len(own) == len(weights(plain))
    assert sum(p.requires_grad for p in model.parameters()) == 2 * 2 * 2
    model.train()
    tokens = torch.arange(1, 9).unsqueeze(0)
    with torch.no_grad():
        before = teacher(tokens).logits
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.fill_(1.0)
        assert torch.equal(teacher(tokens).logits, before)
        assert not torch.equal(model(tokens).logits, before)


def test_an_adapter_that_is_not_there_is_refused(distil: Distil, tmp_path: Path) -> None:
    with pytest.raises(DistillationError, match=r"none has no adapter_config.json that can be read"):
        distil("no adapter", teacher=None, teacher_adapter=str(tmp_path / "none"))


def test_an_adapter_of_another_base_is_refused(distil: Distil, tmp_path: Path, plain: TrainingRun) -> None:
    other = make_model(tmp_path / "wide", seed=5, hidden=64)
    with pytest.raises(DistillationError, match="does not fit the student's base model"):
        distil("misfit", student=other, teacher=None, teacher_adapter=str(plain.folder))


@pytest.mark.parametrize("bits", [8, 4])
def test_a_quantised_teacher_is_close_to_the_whole_one(distil: Distil, bits: int, tmp_path: Path) -> None:
    teacher = make_model(tmp_path / "teacher", seed=2, hidden=128, vocab=448)
    whole = distil(f"whole {bits}", **FIXED, teacher=teacher, max_steps=1)
    run = distil(f"quantised {bits}", **FIXED, teacher=teacher, teacher_quantization_bit=bits, max_steps=1)
    assert losses(run) == pytest.approx(losses(whole), rel=0.05)
    assert losses(run) != losses(whole)


def test_a_tokenizer_of_another_kind_is_refused(distil: Distil, tmp_path: Path) -> None:
    teacher = make_model(tmp_path / "teacher", seed=2)
    path = teacher / "tokenizer.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    vocabulary = content["model"]["vocab"]
    vocabulary["!"], vocabulary["#"] = vocabulary["#"], vocabulary["!"]
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(DistillationError, match=r"'!' is \d+ for the student and \d+ for the teacher; '#' is"):
        distil("foreign", teacher=teacher)


def test_two_processes_train_as_one_does(
    distil: Distil, student: Path, teacher: Path, pairs: Path, tmp_path: Path
) -> None:
    """With all weights trained, the head's among them, and the search for unused parameters that comes with it."""
    settings: dict[str, Any] = {
        "finetuning_type": "full",
        "learning_rate": 1e-3,
        "disable_gradient_checkpointing": True,
        "eval_dataset": "pairs",
        "do_eval": True,
        "per_device_eval_batch_size": 3,
        "distill_temperature": 2.0,
        "distill_sft_weight": 0.25,
    }
    one = distil("one process", **settings)
    given = training_settings(
        student, pairs, tmp_path / "two", teacher, per_device_train_batch_size=2, ddp_backend="gloo", **settings
    )
    two = train(given, environment={"FORCE_TORCHRUN": "1", "NPROC_PER_NODE": "2"})
    assert "Initializing 2 distributed tasks" in two.output
    assert_same_weights(two, one, 1e-4)
    evaluated = [json.loads((run.folder / "eval_results.json").read_text()) for run in (two, one)]
    for name in ("eval_loss", "eval_kl", "eval_rkl", "eval_nll"):
        assert evaluated[0][name] == pytest.approx(evaluated[1][name], rel=1e-4)
    for ours, theirs in zip(two.read_log("distill_log.jsonl"), one.read_log("distill_log.jsonl"), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-3, abs=1e-5)
    anchors = [json.loads((run.folder / "distill_state.json").read_text())["anchor"] for run in (one, two)]
    assert anchors[0] == pytest.approx(anchors[1], abs=1e-7)


def test_dpo_runs_as_before(distil: Distil) -> None:
    run = distil("dpo", stage="dpo", teacher=None, max_steps=2)
    history = json.loads((run.folder / "trainer_state.json").read_text())["log_history"]
    assert any("rewards/accuracies" in line for line in history)
    assert not (run.folder / "distill_log.jsonl").exists()


def test_sft_runs_as_before(distil: Distil, pairs: Path, tmp_path: Path) -> None:
    columns = {"prompt": "instruction", "response": "chosen"}
    info = {"answers": {"file_name": str(pairs / "pairs.json"), "columns": columns}}
    (tmp_path / "dataset_info.json").write_text(json.dumps(info), encoding="utf-8")
    run = distil("sft", stage="sft", teacher=None, dataset="answers", dataset_dir=str(tmp_path), max_steps=3)
    found = [line["loss"] for line in run.read_log() if "loss" in line]
    assert found[-1] < found[0]
    assert not (run.folder / "distill_log.jsonl").exists()
