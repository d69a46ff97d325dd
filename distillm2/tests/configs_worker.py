"""Runs trainings and exports one after the other in one process: importing LLaMA-Factory takes longer than each of them.

    python configs_worker.py jobs.json results.json

``jobs.json`` maps a name to ``{"command": "train" | "export" | "parse" | "parse_export", "settings": {...}}``;
``results.json`` maps it to None, or to the traceback of what failed.
"""

from __future__ import annotations

import json
import sys
import time
import traceback
from pathlib import Path
from typing import Any


def main(jobs_path: Path, results_path: Path) -> None:
    """Run every job, whatever becomes of the one before."""
    from distillm2.stage.register import read_training_arguments, register

    register()
    from llamafactory.hparams import get_infer_args
    from llamafactory.train.tuner import export_model, run_exp

    commands = {
        "train": run_exp,
        "export": export_model,
        "parse": read_training_arguments,
        "parse_export": get_infer_args,
    }
    results: dict[str, str | None] = {}
    jobs: dict[str, dict[str, Any]] = json.loads(jobs_path.read_text(encoding="utf-8"))
    for name, job in jobs.items():
        print(f"==== {name} at {time.monotonic():.0f} s", flush=True)
        try:
            commands[job["command"]](job["settings"])
            results[name] = None
        except BaseException:
            results[name] = traceback.format_exc()
            print(results[name], flush=True)
    results_path.write_text(json.dumps(results), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
