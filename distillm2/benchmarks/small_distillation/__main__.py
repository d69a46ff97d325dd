"""Trains the teacher once, a start of the student and one student a method for every seed; writes table and plot."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import torch
from corpus import continuations, load, prompts
from language_models import make, pretrain, respond
from measurement import HeldOut, Score, score
from methods import METHODS, Effort, Material, train
from report import show, write_plot
from rich.console import Console
from rich.progress import Progress
from transformers import Qwen3ForCausalLM
from transformers.utils import logging


def main() -> None:
    """The command line; every finished student is kept in scores.json, and a second run goes on after it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True, help="folder of the teacher, scores.json and plot.png")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--prompts", type=int, default=384, help="prompts to distil on")
    parser.add_argument("--held-out", type=int, default=192, help="prompts to measure on")
    parser.add_argument("--teacher-steps", type=int, default=1500)
    parser.add_argument("--start-steps", type=int, default=400, help="steps of the student on plain text")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    use = parser.parse_args()
    logging.set_verbosity_error()
    use.output.mkdir(parents=True, exist_ok=True)
    articles = load(use.prompts, use.held_out)
    teacher = _teacher(use.output / "teacher", articles.train, use.teacher_steps)
    ask, real = prompts(articles.held_out), continuations(articles.held_out)
    held_out = HeldOut(ask, respond(teacher, ask, 1), respond(teacher, ask, 1, sampled=False), real)
    taught = prompts(articles.distillation)
    answers, texts = respond(teacher, taught, 2), continuations(articles.distillation)
    effort = Effort(prompts_a_step=16, epochs=use.epochs, learning_rate=use.learning_rate)

    kept = use.output / "scores.json"
    scores: dict[str, dict[str, dict[str, float]]] = json.loads(kept.read_text()) if kept.exists() else {}
    for seed in range(1, use.seeds + 1):
        missing = [method for method in METHODS if str(seed) not in scores.get(method.name, {})]
        if not missing:
            continue
        start = make(64, 2, seed)
        pretrain(start, articles.train, use.start_steps, seed, f"student {seed}")
        scores.setdefault("start", {})[str(seed)] = asdict(score(start.eval(), teacher, held_out, seed))
        with Progress() as progress:
            for method in missing:
                student = train(method, Material(start, teacher, taught, answers, texts), effort, seed, progress)
                scores.setdefault(method.name, {})[str(seed)] = asdict(score(student, teacher, held_out, seed))
                kept.write_text(json.dumps(scores, indent=1))
    runs = {name: [Score(**row) for row in rows.values()] for name, rows in scores.items()}
    show(runs, Console(width=100))
    write_plot(runs, use.output / "plot.png")


def _teacher(folder: Path, articles: list[bytes], steps: int) -> Qwen3ForCausalLM:
    if not folder.exists():
        model = make(128, 3, 0)
        loss = pretrain(model, articles, steps, 0, "teacher")
        print(f"teacher: {loss:.3f} nats a byte at the end of its training")
        model.save_pretrained(folder)
    teacher: Qwen3ForCausalLM = Qwen3ForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return teacher.eval().requires_grad_(False)


if __name__ == "__main__":
    main()
