"""What the cache's tests share: tokenised ranking rows and a tiny teacher that reads them."""

from __future__ import annotations

from pathlib import Path

import torch
from datasets import Dataset
from tiny_models import SENTENCES
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from distillm2.loss.targets import HeadTarget
from distillm2.teacher.cache_format import FORMAT_VERSION, Manifest, shard_paths, tokenizer_hash

VOCABULARY = 416
PAIRS = 24
EXAMPLE_PROMPT = "질문: "


class TinyTeacher:
    """A teacher in memory, with hidden states and a head."""

    vocabulary = 448

    def __init__(self, folder: Path) -> None:
        self.model = AutoModelForCausalLM.from_pretrained(folder).eval().requires_grad_(False)

    def prepare(self, accelerator: object) -> None:
        """Nothing: it stays on the CPU."""

    def describe(self) -> str:
        return "tiny teacher"

    def targets(self, inputs: dict[str, torch.Tensor], rows: torch.Tensor, columns: torch.Tensor) -> HeadTarget:
        hidden = self.model.model(**inputs).last_hidden_state
        return HeadTarget(hidden[rows, columns], self.model.lm_head)


def ranking_dataset(tokenizer: PreTrainedTokenizerFast, rows: int, first: int = 0) -> Dataset:
    """Tokenised pairs of responses of different lengths, prompts not labelled."""
    columns: dict[str, list[list[int]]] = {}
    for number in range(first, first + rows):
        prompt = tokenizer(f"{EXAMPLE_PROMPT}{number}")["input_ids"]
        for side, text in (
            ("chosen", SENTENCES[number % 4]),
            ("rejected", SENTENCES[(number + 1) % 4][: 4 + number % 20]),
        ):
            response = [*tokenizer(text)["input_ids"], tokenizer.eos_token_id]
            columns.setdefault(f"{side}_input_ids", []).append(prompt + response)
            columns.setdefault(f"{side}_attention_mask", []).append([1] * len(prompt + response))
            columns.setdefault(f"{side}_labels", []).append([-100] * len(prompt) + response)
    return Dataset.from_dict(columns)


def manifest_for(tokenizer: PreTrainedTokenizerFast, **changes: object) -> Manifest:
    """The manifest of a cache by ``TinyTeacher``."""
    values: dict[str, object] = {
        "format_version": FORMAT_VERSION,
        "top_k": 8,
        "vocabulary": VOCABULARY,
        "temperature": 1.0,
        "precision": "float32",
        "tokenizer_hash": tokenizer_hash(tokenizer.get_vocab()),
        "teacher": "tiny",
        "teacher_adapter": None,
        "teacher_quantization_bit": None,
        "teacher_hash": "0",
        "compute_dtype": "float32",
        "template": "qwen",
        "cutoff_len": 256,
        "rows": 0,
        "tokens": 0,
        "created_by": "test",
    }
    return Manifest(**(values | changes))  # type: ignore[arg-type]


def contents(folder: Path) -> dict[str, bytes]:
    """The bytes of a cache's files by name."""
    return {path.name: path.read_bytes() for path in [*shard_paths(folder), folder / "manifest.json"]}
