"""The four steps of one epoch of the loop: sample the student, build the pairs, cache the teacher, train."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distillm2.data.endpoint import Sampling
from distillm2.errors import DistillationError
from distillm2.experiments.loop_server import Student, StudentServer
from distillm2.experiments.sweep_metric import read_metrics
from distillm2.experiments.training_process import OnStep, run, tail, train, write_settings

if TYPE_CHECKING:
    from rich.console import Console

    from distillm2.data.records import Prompt
    from distillm2.data.templates import TrainingTemplate

DATASET = "pairs"


@dataclass(frozen=True)
class Loop:
    """What is trained for how many epochs, on which teacher responses, sampled how, and where it is written."""

    settings: Mapping[str, Any]
    teacher_responses: Path
    output: Path
    epochs: int
    server: StudentServer
    sampling: Sampling = Sampling()  # noqa: RUF009 - frozen
    concurrency: int = 16

    def folder(self, epoch: int) -> Path:
        """Where epoch ``epoch`` (from 0) keeps its responses, pairs, settings, logs and adapter."""
        return self.output / f"epoch-{epoch + 1}"

    def trained(self, epoch: int) -> Path:
        """The adapter (or model) that epoch ``epoch`` trains."""
        return self.folder(epoch) / "trained"

    @property
    def validation(self) -> float:
        """The share of prompts that is held out: ``val_size`` of the settings."""
        return float(self.settings.get("val_size") or 0)

    def student(self, epoch: int) -> Student:
        """The student before epoch ``epoch``: the settings' own, then what the epoch before has trained."""
        given = self.settings.get("adapter_name_or_path") or ""
        adapters = [part.strip() for part in str(given).split(",") if part.strip()]
        model = str(self.settings["model_name_or_path"])
        whole = epoch > 0 and self.settings.get("finetuning_type", "lora") not in ("lora", "oft")
        if whole:
            model = str(self.trained(epoch - 1))
        elif epoch:
            merged = adapters if self.settings.get("create_new_adapter") else adapters[:-1]
            adapters = [*merged, str(self.trained(epoch - 1))]
        return Student(f"{self.output.resolve().name}-epoch-{epoch + 1}", model, tuple(adapters), whole)


def epoch_settings(loop: Loop, epoch: int, *, held_out: bool) -> dict[str, Any]:
    """The training arguments of an epoch: its own pairs, the last epoch's student, its place in the whole schedule."""
    student, folder = loop.student(epoch), loop.folder(epoch)
    settings = {
        **loop.settings,
        "model_name_or_path": student.model,
        "dataset": DATASET,
        "dataset_dir": str(folder / "pairs"),
        "output_dir": str(loop.trained(epoch)),
        "run_name": student.name,
        "num_train_epochs": 1,
        "distill_first_epoch": epoch,
        "distill_total_epochs": loop.epochs,
        "do_train": True,
    }
    for name in ("val_size", "resume_from_checkpoint", "overwrite_output_dir", "adapter_name_or_path"):
        settings.pop(name, None)
    if student.adapters:
        settings["adapter_name_or_path"] = ",".join(student.adapters)
    if epoch:
        settings.pop("create_new_adapter", None)
    if held_out:
        settings |= {"eval_dataset": f"{DATASET}_validation", "do_eval": True}
    else:
        settings = {name: value for name, value in settings.items() if name not in ("do_eval", "eval_strategy")}
    if "teacher_cache" in settings:
        settings["teacher_cache"] = str(folder / "cache")
    return settings


def sample(loop: Loop, epoch: int, template: TrainingTemplate | None, console: Console) -> dict[str, Any]:
    """Draw the student's responses to the teacher's prompts; those of a killed start are kept.

    Prompts are sent as token ids of ``template``, or as conversations when there is none.
    Requests that fail are asked once more; then their prompts are left out, and the counts say so.
    """
    from distillm2.data.generate import Rendering, generate

    prompts, folder = read_prompts(loop.teacher_responses), loop.folder(epoch)
    with loop.server.serve(loop.student(epoch), folder) as endpoint:
        for _ in range(2):
            report = generate(
                prompts,
                endpoint,
                folder / "student.jsonl",
                sampling=loop.sampling,
                concurrency=loop.concurrency,
                rendering=Rendering(template) if template is not None else None,
                console=console,
            )
            if report.finished:
                break
    return dataclasses.asdict(report)


def pair(loop: Loop, epoch: int, template: TrainingTemplate) -> dict[str, Any]:
    """Join the kept teacher responses with the epoch's student responses; the held-out prompts stay the same."""
    from distillm2.data.pairs import Limits, build_pairs

    cutoff = int(loop.settings.get("cutoff_len", 2048))
    folder = loop.folder(epoch)
    report = build_pairs(
        loop.teacher_responses,
        folder / "student.jsonl",
        folder / "pairs",
        DATASET,
        template=template,
        limits=Limits(cutoff_len=cutoff, max_prompt=cutoff),
        validation=loop.validation,
    )
    return dataclasses.asdict(report)


def cache(loop: Loop, epoch: int) -> dict[str, Any]:
    """Cache the teacher's log-probabilities for the epoch's pairs; the teacher leaves the memory before training."""
    folder = loop.folder(epoch)
    settings, log = folder / "train.yaml", folder / "cache.log"
    write_settings(settings, epoch_settings(loop, epoch, held_out=_held_out(loop, epoch)))
    status = run(["cache", str(settings)], log)
    if status != 0:
        raise DistillationError(f"the teacher's cache ended with status {status} ({log}):\n{tail(log)}")
    return {"folder": str(folder / "cache")}


def train_epoch(loop: Loop, epoch: int, environment: Mapping[str, str], on_step: OnStep) -> dict[str, Any]:
    """Train one epoch; a killed one goes on from its last checkpoint, or starts again when it has none."""
    folder, output = loop.folder(epoch), loop.trained(epoch)
    settings, log = folder / "train.yaml", folder / "train.log"
    write_settings(settings, epoch_settings(loop, epoch, held_out=_held_out(loop, epoch)))
    if output.exists() and not any(output.glob("checkpoint-*")):
        shutil.rmtree(output)
    status = train(settings, output, log, environment, on_step)
    if status != 0:
        raise DistillationError(f"the training of epoch {epoch + 1} ended with status {status} ({log}):\n{tail(log)}")
    return {"trained": str(output), "metrics": read_metrics(output)}


def read_prompts(teacher_responses: Path) -> list[Prompt]:
    """The prompts of a file of teacher responses, as `distillm2 generate` writes it."""
    from distillm2.data.journal import is_header
    from distillm2.data.records import parse_prompt
    from distillm2.data.sources import parse_rows, read_rows

    rows = [row for row in read_rows(teacher_responses) if not is_header(row.value)]
    prompts = parse_rows(
        [row for row in rows if not (isinstance(row.value, dict) and "error" in row.value)], parse_prompt
    )
    if not prompts:
        raise DistillationError(f"{teacher_responses} holds no response; write it with `distillm2 generate`")
    return prompts


def _held_out(loop: Loop, epoch: int) -> bool:
    return (loop.folder(epoch) / "pairs" / f"{DATASET}_validation.json").is_file()
