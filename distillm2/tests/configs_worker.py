"""Runs trainings and exports one after the other in one process, as importing LLaMA-Factory takes longer than each.

    python configs_worker.py jobs.json results.json

``jobs.json`` maps a name to ``{"command": one of `commands`, "settings": {...}}``;
``results.json`` maps it to None, or to the traceback of what failed.
"""

from __future__ import annotations

import json
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any


def commands() -> dict[str, Callable[[dict[str, Any]], Any]]:
    """What can be done with the settings of a file."""
    from distillm2.stage.register import read_training_arguments, register

    register()
    from llamafactory.hparams import get_infer_args
    from llamafactory.train.tuner import export_model, run_exp

    return {
        "train": run_exp,
        "export": export_model,
        "parse": read_training_arguments,
        "parse_export": get_infer_args,
        "cache": cache,
        "prompt": write_prompt,
    }


def cache(settings: dict[str, Any]) -> None:
    """As ``distillm2 cache``."""
    from distillm2.teacher.caching import cache_teacher

    cache_teacher(
        settings, None, top_k=16, precision="float16", batch_size=4, shard_bytes=1 << 20, progress=lambda *_: None
    )


def write_prompt(settings: dict[str, Any]) -> None:
    """Write the text of the first row to ``output_dir``: the prompt and, apart, what is learnt of it."""
    from llamafactory.data import get_dataset, get_template_and_fix_tokenizer
    from llamafactory.hparams import get_train_args
    from llamafactory.model import load_tokenizer

    model_args, data_args, training_args, _, _ = get_train_args(settings)
    module = load_tokenizer(model_args)
    tokenizer = module["tokenizer"]
    template = get_template_and_fix_tokenizer(tokenizer, data_args)
    row = get_dataset(template, model_args, data_args, training_args, stage="sft", **module)["train_dataset"][0]
    learnt = [token for token in row["labels"] if token >= 0]
    prompt = row["input_ids"][: len(row["input_ids"]) - len(learnt)]
    texts = {"prompt": tokenizer.decode(prompt), "learnt": tokenizer.decode(learnt)}
    Path(settings["output_dir"]).mkdir(parents=True)
    (Path(settings["output_dir"]) / "row.json").write_text(json.dumps(texts, ensure_ascii=False), encoding="utf-8")


def main(jobs_path: Path, results_path: Path) -> None:
    """Run every job, whatever becomes of the one before."""
    known = commands()
    results: dict[str, str | None] = {}
    jobs: dict[str, dict[str, Any]] = json.loads(jobs_path.read_text(encoding="utf-8"))
    for name, job in jobs.items():
        print(f"==== {name} at {time.monotonic():.0f} s", flush=True)
        try:
            known[job["command"]](job["settings"])
            results[name] = None
        except BaseException:
            results[name] = traceback.format_exc()
            print(results[name], flush=True)
    results_path.write_text(json.dumps(results), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
