"""``llmflow train-embedder``."""

from __future__ import annotations

import time

from llmflow.cli.output import print_json, progress_bar, results
from llmflow.cli.session import Json, Session
from llmflow.errors import LLMFlowError


def train_embedder(as_json: Json = False) -> None:
    """Train the embedder on all documents, and swap it in.

    `llmflow ingest` does so by itself once there are enough chunks (setting
    embedder.training.min_chunks), and again when they have grown by embedder.training.growth.

    Example:
      llmflow train-embedder
    """
    started = time.perf_counter()
    with Session().runtime() as runtime, progress_bar() as show:
        trained = runtime.train_embedder(lambda done, total: show("train the embedder", done, total))
    if trained is None:
        raise LLMFlowError("the training was cut short; run it again")
    seconds = time.perf_counter() - started
    if as_json:
        print_json({"version": trained.version, "chunks": trained.chunks, "seconds": round(seconds, 3)})
    else:
        results().print(f"embedder {trained.version} trained on {trained.chunks:,} chunks in {seconds:.1f} s")
