"""How near a student came to its teacher, on laws that neither was trained on."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from corpus import PAD, RESPONSE
from language_models import respond
from methods import hidden_states, kept_tokens
from rouge_score.rouge_scorer import _score_lcs
from torch import Tensor
from transformers import Qwen3ForCausalLM


@dataclass(frozen=True)
class HeldOut:
    """Prompts [n, PROMPT] with the teacher's sampled and greedy continuations and the real ones [n, RESPONSE]."""

    prompts: Tensor
    teacher_responses: Tensor
    teacher_greedy: Tensor
    texts: Tensor


@dataclass(frozen=True)
class Score:
    """Nats a byte of KL(teacher || student) on teacher responses and KL(student || teacher) on the student's own,
    cross-entropy on the real text, and ROUGE-L of greedy continuations against the teacher's, 0 to 100."""

    kl: float
    own_rkl: float
    text_nll: float
    rouge_l: float


@torch.no_grad()
def score(student: Qwen3ForCausalLM, teacher: Qwen3ForCausalLM, held_out: HeldOut, seed: int) -> Score:
    """All four, sequences weighing alike."""
    own = respond(student, held_out.prompts, seed)
    greedy = respond(student, held_out.prompts, seed, sampled=False)
    rouge = [rouge_l(a, b) for a, b in zip(held_out.teacher_greedy, greedy, strict=True)]
    kl = _mean(student, teacher, torch.cat([held_out.prompts, held_out.teacher_responses], 1), "kl")
    rkl = _mean(student, teacher, torch.cat([held_out.prompts, own], 1), "rkl")
    nll = _mean(student, teacher, torch.cat([held_out.prompts, held_out.texts], 1), "nll")
    return Score(kl, rkl, nll, 100 * sum(rouge) / len(rouge))


def rouge_l(reference: Tensor, written: Tensor) -> float:
    """ROUGE-L F1 over characters: Korean syllables take the place of words."""
    texts = [bytes(row[row < 256].tolist()).decode(errors="replace") for row in (reference, written)]
    return float(_score_lcs(*(list(text) for text in texts)).fmeasure)


def _mean(student: Qwen3ForCausalLM, teacher: Qwen3ForCausalLM, rows: Tensor, kind: str) -> float:
    means = []
    for ids in rows.split(64):
        kept = kept_tokens(ids)
        q, p = (
            model.lm_head(hidden_states(model, ids, kept))[:, :PAD].double().log_softmax(-1)
            for model in (student, teacher)
        )
        if kind == "nll":
            values = -q.gather(1, ids[:, 1:][kept][:, None])[:, 0]
        else:
            a, b = (p, q) if kind == "kl" else (q, p)
            values = (a.exp() * (a - b)).sum(-1)
        sums = torch.zeros(len(ids), dtype=values.dtype).index_add(0, kept.nonzero()[:, 0], values)
        means.append(sums / kept.sum(1).clamp(min=1))
    assert rows.shape[1] > RESPONSE
    return float(torch.cat(means).mean())
