"""Korean statutes as bytes: whole laws go to one split, so that no article is seen on both sides."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

END, PAD = 256, 257
VOCABULARY = 258
PROMPT, RESPONSE = 96, 96  # bytes; a Hangul syllable is three


@dataclass(frozen=True)
class Corpus:
    """Articles as bytes: ``train`` for language modelling, prompts for distillation and for the final measurement."""

    train: list[bytes]
    distillation: list[bytes]
    held_out: list[bytes]


def load(prompts: int, held_out: int) -> Corpus:
    """The articles of the folder ``ko_statutes`` in $LLMFLOW_EVAL_DATA, longer than a prompt and a response."""
    folder = os.environ.get("LLMFLOW_EVAL_DATA")
    if not folder:
        sys.exit("Set LLMFLOW_EVAL_DATA to the folder that holds ko_statutes/articles.jsonl.gz.")
    splits: dict[str, list[bytes]] = {"train": [], "distillation": [], "held_out": []}
    with gzip.open(Path(folder) / "ko_statutes" / "articles.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            article = json.loads(line)
            law = str(article["law"])
            text = f"{law} {article['article']}({article['heading']}) {article['text']}".encode()
            if len(text) >= PROMPT + RESPONSE:
                share = int(hashlib.sha256(law.encode()).hexdigest()[:8], 16) % 10
                splits["held_out" if share == 0 else "distillation" if share <= 2 else "train"].append(text)
    for articles in splits.values():
        articles.sort(key=lambda text: hashlib.sha256(text).digest())
    return Corpus(splits["train"], splits["distillation"][:prompts], splits["held_out"][:held_out])


def prompts(articles: list[bytes]) -> Tensor:
    """The first bytes of each article [n, PROMPT]."""
    return torch.tensor([list(article[:PROMPT]) for article in articles])


def continuations(articles: list[bytes]) -> Tensor:
    """The bytes that really follow [n, RESPONSE]."""
    return torch.tensor([list(article[PROMPT : PROMPT + RESPONSE]) for article in articles])


def windows(articles: list[bytes], length: int, generator: torch.Generator, rows: int) -> Tensor:
    """Random pieces [rows, length] of the articles, joined end to end."""
    starts = torch.randint(len(articles), (rows,), generator=generator)
    pieces = []
    for start in starts.tolist():
        piece: list[int] = []
        while len(piece) < length:
            piece += [*articles[start % len(articles)], END]
            start += 1
        pieces.append(piece[:length])
    return torch.tensor(pieces)
