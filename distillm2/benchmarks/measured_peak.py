"""The plan of a training beside what it really allocates: one step on a GPU, with the models and data of its YAML.

    python distillm2/benchmarks/measured_peak.py llamafactory_configs/distillm2_online_4bit.yaml [key=value ...]

The plan is made for the longest row that the step saw, since a YAML's data may be shorter than its cutoff_len. What
PyTorch counts (max_memory_allocated) is without CUDA's context and without fragments, and so is the plan's figure.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import replace
from typing import Any

from distillm2.cli.settings import read_settings
from distillm2.errors import DistillationError
from distillm2.experiments.plan import GIB, Plan, make_plan
from distillm2.experiments.plan_settings import Settings, settings_from


def main(arguments: list[str]) -> int:
    """Print the comparison; 1 without a GPU."""
    if not arguments:
        print(__doc__)
        return 1
    try:
        values = read_settings(arguments)
        settings = settings_from(values, arguments[0])
        show(make_plan(settings), f"Plan, {settings.rows} rows of {settings.cutoff_len:,} tokens")
    except DistillationError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    import torch

    if not torch.cuda.is_available():
        print("no GPU: nothing was measured. Run this on a machine with one; the plan above is computed only.")
        return 1
    peak, length = measure(values)
    compare(settings, peak, length)
    return 0


def measure(values: dict[str, Any]) -> tuple[int, int]:
    """Peak of allocated bytes in one optimizer step, and the longest row's tokens."""
    import torch
    from llamafactory.train.tuner import run_exp
    from transformers import TrainerCallback

    from distillm2.stage.register import register

    lengths: list[int] = []

    class Watch(TrainerCallback):  # type: ignore[misc]
        """Notes the width of every batch that enters the model."""

        def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
            torch.cuda.reset_peak_memory_stats()
            model.register_forward_pre_hook(
                lambda module, positional, named: lengths.append(named["input_ids"].shape[1]), with_kwargs=True
            )

    register()
    with tempfile.TemporaryDirectory() as folder:
        once = {"max_steps": 1, "output_dir": folder, "save_strategy": "no", "report_to": "none", "do_eval": False}
        run_exp({**values, **once, "eval_strategy": "no", "plot_loss": False}, callbacks=[Watch()])
    return torch.cuda.max_memory_allocated(), max(lengths)


def show(plan: Plan, title: str) -> None:
    """The rows that count at the peak."""
    print(title)
    for row in plan.rows:
        if not row.moments or plan.peak in row.moments:
            print(f"  {row.name:32}{row.bytes / GIB:8.2f} GiB")
    print(f"  {f'total at the peak ({plan.peak})':32}{plan.total / GIB:8.2f} GiB")


def compare(settings: Settings, peak: int, length: int) -> None:
    """The measured peak and the plan for rows of that length."""
    seen = replace(settings, cutoff_len=length, evaluates=False)
    plan = make_plan(seen)
    show(plan, f"Plan, {seen.rows} rows of {length:,} tokens, as in the measured step")
    print(f"planned to be allocated  {plan.allocated / GIB:8.2f} GiB")
    print(f"measured                 {peak / GIB:8.2f} GiB, {peak / plan.allocated - 1:+.1%}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
