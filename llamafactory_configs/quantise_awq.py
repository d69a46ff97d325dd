"""Quantise a merged model with the recipe beside this file; see quantise_awq.yaml for the environment it needs.

    .venv-awq/bin/python llamafactory_configs/quantise_awq.py MODEL OUT [ROWS.json ...]

Calibrated on rows of training sets (system, instruction, output), by default those of samples/training, in the form
the model is asked in: its own chat template without thinking.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset
from llmcompressor import oneshot
from transformers import AutoModelForCausalLM, AutoTokenizer

HERE = Path(__file__).resolve().parent
SAMPLES = [HERE.parent / "samples" / "training" / f"answers_{language}.json" for language in ("ko", "en")]
MAX_TOKENS = 2048
MAX_ROWS = 256


def main(model_path: str, out: str, files: Sequence[Path]) -> None:
    """Quantise ``model_path`` and write it to ``out``."""
    tokenizer = AutoTokenizer.from_pretrained(model_path)
    rows = [row for file in files for row in json.loads(file.read_text(encoding="utf-8"))]
    rows = random.Random(0).sample(rows, min(MAX_ROWS, len(rows)))
    texts = [conversation(tokenizer, row) for row in rows]
    tokens = [tokenizer(text, truncation=True, max_length=MAX_TOKENS, add_special_tokens=False) for text in texts]
    model = AutoModelForCausalLM.from_pretrained(model_path, dtype="auto")
    oneshot(
        model=model,
        dataset=Dataset.from_list([dict(each) for each in tokens]),
        recipe=str(HERE / "quantise_awq.yaml"),
        max_seq_length=MAX_TOKENS,
        num_calibration_samples=len(rows),
    )
    model.save_pretrained(out, save_compressed=True)
    tokenizer.save_pretrained(out)
    if "quantization_config" not in json.loads((Path(out) / "config.json").read_text(encoding="utf-8")):
        sys.exit(f"{HERE / 'quantise_awq.yaml'} quantised nothing: {out} holds the model as it was")


def conversation(tokenizer: Any, row: dict[str, str]) -> str:
    """A row as the model reads and writes it."""
    messages = [
        {"role": "system", "content": row["system"]},
        {"role": "user", "content": row["instruction"]},
    ]
    prompt: str = tokenizer.apply_chat_template(
        messages, tokenize=False, add_generation_prompt=True, enable_thinking=False
    )
    return prompt + row["output"]


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(f"usage: {sys.argv[0]} MODEL OUT [ROWS.json ...]")
    main(sys.argv[1], sys.argv[2], [Path(name) for name in sys.argv[3:]] or SAMPLES)
