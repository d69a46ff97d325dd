"""A tiny student that ends its responses, which random weights do not."""

from __future__ import annotations

from pathlib import Path

import torch
from tiny_models import SENTENCES, make_model
from transformers import AutoModelForCausalLM, AutoTokenizer


def make_talking_student(folder: Path, steps: int = 60) -> Path:
    """Train the tiny model to answer in one of the four sentences, then end; a second or two of one core."""
    make_model(folder, seed=3)
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    texts = [
        f"<|im_start|>user\n{asked}<|im_end|>\n<|im_start|>assistant\n{answer}<|im_end|>"
        for asked in SENTENCES
        for answer in SENTENCES
    ]
    batch = tokenizer(texts, return_tensors="pt", padding=True)
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(steps):
        model(**batch, labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(folder)
    return folder
