"""Questions put to the scripted student through each method."""

from __future__ import annotations

import time
from typing import Any

from scripted_student import ScriptedStudent

from llmflow.retrieval.reranking import Reranker, Reranking, build_reranker
from llmflow.settings import RerankerSettings

QUERY = "연차는 며칠인가요?"
METHODS = ["listwise", "pointwise", "setwise", "permutation"]
FIVE = [2, 9, 4, 7, 1]
BY_FIVE = (1, 3, 2, 0, 4)


def passages(relevances: list[int]) -> list[str]:
    return [f"문단 {number}: 관련도 {relevance}" for number, relevance in enumerate(relevances)]


def reranker(student: ScriptedStudent, method: str, retries: int = 0, **settings: Any) -> Reranker:
    return build_reranker(RerankerSettings(method=method, **settings), student.client(retries=retries))


def rerank(
    student: ScriptedStudent, method: str, relevances: list[int], seconds: float = 30, **settings: Any
) -> Reranking:
    deadline = time.monotonic() + seconds
    return reranker(student, method, **settings).rerank(QUERY, passages(relevances), deadline)
