"""LlamaIndex and Haystack over passages given; run by :mod:`evaluation.peers` in an environment of their own.

    python -P evaluation/peer_runs.py FOLDER

Reads ``task.json`` and, where there are any, ``vectors.npz`` in the folder; writes ``runs.json`` there.
Each library is put together as its documentation shows, with its own defaults but for the number of
results; where a fusion asks two retrievers, each gives as many results as the fusion.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"  # read on import

from haystack import Document
from haystack.components.joiners import DocumentJoiner
from haystack.components.retrievers.in_memory import InMemoryBM25Retriever, InMemoryEmbeddingRetriever
from haystack.document_stores.in_memory import InMemoryDocumentStore
from llama_index.core import VectorStoreIndex
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.llms import MockLLM
from llama_index.core.retrievers import BaseRetriever, QueryFusionRetriever, VectorIndexRetriever
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
from llama_index.retrievers.bm25 import BM25Retriever

Search = Callable[[str, int], list[str]]
"""From a question and a number to the ids of so many passages, best first."""

System = tuple[str, Search, Search]
"""A name, the search that is timed, and one that gives the same from results of single retrievers kept before."""


@dataclass(frozen=True)
class Task:
    """Passages and questions with the vectors of both.

    ``vectors`` is None where there are none at all; a passage of which the embedder knows no word has None, as
    a cosine with zeros is no number.

    The first ``warm_up`` questions are put before the time is taken; ``timed`` are the ids of those it is
    taken of. ``head`` and ``deep`` are the numbers of results of a timed search and of one that is judged.
    """

    ids: Sequence[str]
    texts: Sequence[str]
    questions: Mapping[str, str]
    warm_up: int
    timed: Sequence[str]
    head: int
    deep: int
    vectors: Sequence[list[float] | None] | None
    question_vectors: Mapping[str, list[float]]


class GivenEmbedding(BaseEmbedding):
    """The vectors of known questions, made elsewhere."""

    vectors: dict[str, list[float]]

    def _get_query_embedding(self, query: str) -> list[float]:
        return self.vectors[query]

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self.vectors[query]

    def _get_text_embedding(self, text: str) -> list[float]:
        raise RuntimeError("every passage comes with its vector")


class Kept(BaseRetriever):
    """Another retriever's results, asked for once: two fusions of the same two retrievers need not search again."""

    def __init__(self, inner: BaseRetriever, number: int) -> None:
        super().__init__()
        self.inner, self.number = inner, number
        self.results: dict[str, list[NodeWithScore]] = {}

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        question = query_bundle.query_str
        if question not in self.results:
            self.inner.similarity_top_k = self.number
            self.results[question] = self.inner.retrieve(question)
        # Fusion overwrites the scores.
        return [NodeWithScore(node=found.node, score=found.score) for found in self.results[question]]


def llama_index(task: Task) -> Iterator[System]:
    """LlamaIndex: BM25, vectors in memory, and its fusions by rank and by score."""
    nodes = [TextNode(id_=id_, text=text) for id_, text in zip(task.ids, task.texts, strict=True)]
    bm25 = BM25Retriever.from_defaults(nodes=nodes, similarity_top_k=task.head)
    kept_bm25 = Kept(bm25, task.deep)
    yield "BM25", _llama_search(bm25, bm25), _llama_search(kept_bm25)
    if task.vectors is None:
        return
    for node, vector in zip(nodes, task.vectors, strict=True):
        node.embedding = vector
    given = GivenEmbedding(vectors=dict(task.question_vectors))
    embedded = [node for node in nodes if node.embedding is not None]
    dense = VectorIndexRetriever(VectorStoreIndex(embedded, embed_model=given))
    kept_dense = Kept(dense, task.deep)
    yield "dense", _llama_search(dense, dense), _llama_search(kept_dense)

    def both(mode: str, *legs: BaseRetriever) -> QueryFusionRetriever:
        # The LLM would write further questions; with one question it is not called, but it must be there.
        return QueryFusionRetriever(list(legs), llm=MockLLM(), mode=mode, num_queries=1, use_async=False)

    for name, mode in (("BM25 + dense by rank", "reciprocal_rerank"), ("BM25 + dense by score", "dist_based_score")):
        fused, kept = both(mode, bm25, dense), both(mode, kept_bm25, kept_dense)
        yield name, _llama_search(fused, fused, bm25, dense), _llama_search(kept, kept)


def _llama_search(retriever: BaseRetriever, *sized: Any) -> Search:
    def search(question: str, number: int) -> list[str]:
        for part in sized:
            part.similarity_top_k = number
        return [found.node.node_id for found in retriever.retrieve(question)]

    return search


def haystack(task: Task) -> Iterator[System]:
    """Haystack: BM25 and vectors in memory, and its joiners by rank and by score."""
    vectors = task.vectors or [None] * len(task.ids)
    store = InMemoryDocumentStore(return_embedding=False)
    store.write_documents([
        Document(id=id_, content=text, embedding=vector)
        for id_, text, vector in zip(task.ids, task.texts, vectors, strict=True)
    ])  # fmt: skip
    bm25, dense = InMemoryBM25Retriever(store), InMemoryEmbeddingRetriever(store)

    def words(question: str, number: int) -> list[Document]:
        return bm25.run(query=question, top_k=number)["documents"]

    def meaning(question: str, number: int) -> list[Document]:
        return dense.run(query_embedding=task.question_vectors[question], top_k=number)["documents"]

    kept_words, kept_meaning = cache(words), cache(meaning)
    yield "BM25", _haystack_search(words), _haystack_search(kept_words)
    if task.vectors is None:
        return
    yield "dense", _haystack_search(meaning), _haystack_search(kept_meaning)
    for name, mode in (
        ("BM25 + dense by rank", "reciprocal_rank_fusion"),
        ("BM25 + dense by score", "distribution_based_rank_fusion"),
    ):
        joiner = DocumentJoiner(join_mode=mode)
        yield (
            name,
            _haystack_search(words, meaning, joiner=joiner),
            _haystack_search(kept_words, kept_meaning, joiner=joiner),
        )


def _haystack_search(*legs: Callable[[str, int], list[Document]], joiner: DocumentJoiner | None = None) -> Search:
    def search(question: str, number: int) -> list[str]:
        found = [leg(question, number) for leg in legs]
        documents = joiner.run(found, top_k=number)["documents"] if joiner else found[0]
        return [document.id for document in documents]

    return search


PEERS = (
    ("LlamaIndex", ("llama-index-core", "llama-index-retrievers-bm25"), llama_index),
    ("Haystack", ("haystack-ai",), haystack),
)


def main(folder: Path) -> None:
    """Run every peer."""
    task = _task(folder)
    systems: dict[str, Any] = {}
    for peer, _, build in PEERS:
        for name, search, search_kept in build(task):
            for question in list(task.questions.values())[: task.warm_up]:
                search(question, task.head)
            times = []
            for id_ in task.timed:
                started = time.perf_counter()
                search(task.questions[id_], task.head)
                times.append((time.perf_counter() - started) * 1000)
            runs = {id_: search_kept(question, task.deep) for id_, question in task.questions.items()}
            systems[f"{peer}: {name}"] = {"run": runs, "ms": times}
            print(f"{peer}: {name}", flush=True)
    versions = {package: version(package) for _, packages, _ in PEERS for package in packages}
    (folder / "runs.json").write_text(json.dumps({"versions": versions, "systems": systems}), encoding="utf-8")


def _task(folder: Path) -> Task:
    asked = json.loads((folder / "task.json").read_text(encoding="utf-8"))
    asked["head"], asked["deep"] = (min(asked[name], len(asked["ids"])) for name in ("head", "deep"))
    if not (folder / "vectors.npz").exists():
        return Task(**asked, vectors=None, question_vectors={})
    with np.load(folder / "vectors.npz") as file:
        given = zip(asked["questions"].values(), file["questions"].tolist(), strict=True)
        vectors = [vector if any(vector) else None for vector in file["passages"].tolist()]
        return Task(**asked, vectors=vectors, question_vectors=dict(given))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
