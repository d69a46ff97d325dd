"""Ranking metrics, computed by trec_eval's code through pytrec_eval."""

from __future__ import annotations

from collections.abc import Mapping

import pytrec_eval

from evaluation.beir import Qrels

Run = Mapping[str, Mapping[str, float]]

_MEASURES = {"ndcg_cut.10", "recall.5,10,100", "map"}
_NAMES = {
    "ndcg@10": "ndcg_cut_10",
    "recall@5": "recall_5",
    "recall@10": "recall_10",
    "recall@100": "recall_100",
    "mrr@10": "mrr@10",
    "map": "map",
}


def evaluate_run(qrels: Qrels, run: Run) -> dict[str, float]:
    """Means over all judged queries; a query without results counts as 0.

    Args:
        run: {query: {document: score}}, at most 100 documents a query for ``recall@100``.
    """
    judged = {query: dict(run[query]) for query in qrels if run.get(query)}
    full = pytrec_eval.RelevanceEvaluator(qrels, _MEASURES).evaluate(judged)
    # trec_eval's reciprocal rank has no cut-off: cut the run instead.
    heads = {query: dict(sorted(found.items(), key=_by_score, reverse=True)[:10]) for query, found in judged.items()}
    head = pytrec_eval.RelevanceEvaluator(qrels, {"recip_rank"}).evaluate(heads)
    values = {query: {**scores, "mrr@10": head[query]["recip_rank"]} for query, scores in full.items()}
    return {
        name: round(sum(values.get(query, {}).get(key, 0.0) for query in qrels) / len(qrels), 5)
        for name, key in _NAMES.items()
    }


def _by_score(item: tuple[str, float]) -> tuple[float, str]:
    """trec_eval breaks ties by document id; both fall."""
    return item[1], item[0]
