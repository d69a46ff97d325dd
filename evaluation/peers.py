"""Peers in an environment of their own, given the passages and vectors that LLMFlow made of the same corpus."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from evaluation.beir import Dataset
from evaluation.retrieval import WARM_UP, Searched, best_of_documents, deep_top_k
from llmflow.models.embedder import Embedder, EmbedderInput, document_text
from llmflow.models.sparse import encode_query
from llmflow.retrieval.analysis import analyze_query
from llmflow.runtime import Runtime

_SCRIPT = Path(__file__).with_name("peer_runs.py")


def run_peers(
    python: Path, runtime: Runtime, data: Dataset, timed: Collection[str], top_k: int
) -> tuple[dict[str, Searched], dict[str, str]]:
    """What LlamaIndex and Haystack find of an indexed corpus, by system, and their versions.

    Args:
        python: the interpreter of an environment with ``requirements/peers.txt`` in it.
        timed: ids of the questions to take the time of.
        top_k: passages that a timed search returns.

    Raises:
        subprocess.CalledProcessError: the peers' process failed; it has written why.
    """
    documents: dict[str, str] = {}
    texts, vectors = [], []
    for row in runtime.vectors.rows():
        documents[row.chunk.id] = row.chunk.document_id
        texts.append(document_text(row.chunk))
        vectors.append(row.embedding)
    task = {
        "ids": list(documents),
        "texts": texts,
        "questions": data.queries,
        "warm_up": WARM_UP,
        "timed": list(timed),
        "head": top_k,
        "deep": deep_top_k(runtime, data),
    }
    with tempfile.TemporaryDirectory(prefix="llmflow-peers-") as name:
        folder = Path(name)
        (folder / "task.json").write_text(json.dumps(task), encoding="utf-8")
        embedder = runtime.indexer.embedder
        if embedder is not None:
            questions = [_embed(embedder, text) for text in data.queries.values()]
            np.savez(folder / "vectors.npz", passages=np.stack(vectors), questions=np.stack(questions))
        # -P: the modules beside the script are not to be found by their bare names.
        subprocess.run([python, "-P", _SCRIPT, folder], check=True, stdout=sys.stderr)
        found: dict[str, Any] = json.loads((folder / "runs.json").read_text(encoding="utf-8"))
    systems = {
        name: Searched(
            {query: best_of_documents(documents[chunk] for chunk in chunks) for query, chunks in system["run"].items()},
            {"total": system["ms"]},
            0,
        )
        for name, system in found["systems"].items()
    }
    return systems, found["versions"]


def _embed(embedder: Embedder, question: str) -> Any:
    analyzed = analyze_query(question)
    terms = {key: tf for vector in encode_query(analyzed.text.body).values() for key, tf in vector.items()}
    return embedder.query(EmbedderInput(analyzed.query.text, terms)).dense[0]
