"""``distill_log.jsonl``: the stage's figures, one JSON object a logging step, beside LLaMA-Factory's own log."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

LOG_FILE = "distill_log.jsonl"
_KEPT = re.compile(r"loss|eval_(.+_)?(loss|kl|rkl|nll)|learning_rate|grad_norm|epoch|distill/.+")


class DistillLogCallback(TrainerCallback):
    """Writes the log of the first process; a resumed training goes on after the steps of its checkpoint."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Keep the lines up to the step that training begins at."""
        path = Path(args.output_dir) / LOG_FILE
        if not state.is_world_process_zero or not path.exists():
            return
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [line for line in lines if _step(line) <= state.global_step]
        path.write_text("".join(kept) if state.global_step else "", encoding="utf-8")

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        """Append one line."""
        figures = {key: value for key, value in (logs or {}).items() if _KEPT.fullmatch(key)}
        if not state.is_world_process_zero or not figures.keys() - {"epoch"}:
            return
        line = {"current_steps": state.global_step, "total_steps": state.max_steps, **figures}
        path = Path(args.output_dir) / LOG_FILE
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def _step(line: str) -> float:
    """The step of a line; one that a kill left unfinished comes after all others."""
    try:
        return float(json.loads(line)["current_steps"])
    except ValueError:
        return float("inf")
