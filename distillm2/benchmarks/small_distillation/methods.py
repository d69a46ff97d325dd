"""What is compared: from one start, for as many steps on as many rows, students trained by different losses."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from corpus import PAD, PROMPT
from language_models import respond
from rich.progress import Progress
from torch import Tensor
from transformers import Qwen3ForCausalLM

from distillm2.loss.chunked import distillation_loss
from distillm2.loss.objective import Objective
from distillm2.loss.schedules import AlphaSchedule, BetaSchedule, response_gap
from distillm2.loss.targets import HeadTarget

CHUNK = 1024


@dataclass(frozen=True)
class Method:
    """A loss, and whose responses it sees: ``texts`` or ``teacher`` alone, or ``pairs`` of teacher and student."""

    name: str
    responses: str
    objective: Objective
    alpha: AlphaSchedule
    beta: BetaSchedule


_PLAIN = Objective("kl", sft_weight=1.0)
_FIXED, _EVEN = AlphaSchedule("fixed", 0.1), BetaSchedule("fixed")

METHODS = (
    Method("SFT", "texts", _PLAIN, _FIXED, _EVEN),
    Method("SeqKD", "teacher", _PLAIN, _FIXED, _EVEN),
    Method("KL", "pairs", Objective("kl"), _FIXED, _EVEN),
    Method("RKL", "pairs", Objective("rkl"), _FIXED, _EVEN),
    Method("JS (GKD)", "pairs", Objective("js"), AlphaSchedule("fixed", 0.5), _EVEN),
    Method("DistiLLM", "pairs", Objective("distillm"), _FIXED, _EVEN),
    Method("DistiLLM-2", "pairs", Objective("distillm2"), AlphaSchedule("adaptive", 0.1), BetaSchedule("paper")),
)


@dataclass(frozen=True)
class Material:
    """The start of all students, the teacher, and prompts [n, PROMPT] with both continuations [n, RESPONSE]."""

    start: Qwen3ForCausalLM
    teacher: Qwen3ForCausalLM
    prompts: Tensor
    teacher_responses: Tensor
    texts: Tensor


@dataclass(frozen=True)
class Effort:
    """The same for every method: prompts a step (rows are twice as many), epochs and learning rate."""

    prompts_a_step: int
    epochs: int
    learning_rate: float


def train(method: Method, material: Material, effort: Effort, seed: int, progress: Progress) -> Qwen3ForCausalLM:
    """A student from ``material.start`` by ``method``; student responses are sampled anew every epoch."""
    student = copy.deepcopy(material.start)
    generator = torch.Generator().manual_seed(seed)
    count = len(material.prompts)
    steps = effort.epochs * (count // effort.prompts_a_step)
    optimizer = torch.optim.AdamW(student.parameters(), lr=effort.learning_rate, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, effort.learning_rate, steps, pct_start=0.1)
    task = progress.add_task(f"{method.name}, seed {seed}", total=steps)
    anchors: dict[bool, float] = {}
    step = 0
    for epoch in range(effort.epochs):
        own = respond(student, material.prompts, seed * 1000 + epoch) if method.responses == "pairs" else None
        student.train()
        for rows in torch.randperm(count, generator=generator).split(effort.prompts_a_step):
            if len(rows) < effort.prompts_a_step:
                continue
            first, second = _responses(method, material, own, rows, count)
            loss = _loss(method, student, material, first, second, step, steps, epoch, anchors)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            step += 1
            progress.advance(task)
    progress.remove_task(task)
    return student.eval()


def hidden_states(model: Qwen3ForCausalLM, ids: Tensor, kept: Tensor) -> Tensor:
    """Last hidden states [n, H] at the positions that predict the ``kept`` [B, T - 1] tokens."""
    states = model.model(input_ids=ids, attention_mask=(ids != PAD).long()).last_hidden_state
    return states[:, :-1][kept]


def kept_tokens(ids: Tensor) -> Tensor:
    """Which of ``ids[:, 1:]`` belong to a response, boolean [B, T - 1]."""
    kept = ids[:, 1:] != PAD
    kept[:, : PROMPT - 1] = False
    return kept


def _responses(
    method: Method, material: Material, own: Tensor | None, rows: Tensor, count: int
) -> tuple[Tensor, Tensor]:
    if own is not None:
        halves = (material.prompts[rows], material.teacher_responses[rows]), (material.prompts[rows], own[rows])
    else:
        written = material.texts if method.responses == "texts" else material.teacher_responses
        others = (rows + count // 2) % count
        halves = (material.prompts[rows], written[rows]), (material.prompts[others], written[others])
    first, second = (torch.cat(half, 1) for half in halves)
    return first, second


def _loss(
    method: Method,
    student: Qwen3ForCausalLM,
    material: Material,
    first: Tensor,
    second: Tensor,
    step: int,
    steps: int,
    epoch: int,
    anchors: dict[bool, float],
) -> Tensor:
    ids = torch.cat([first, second])
    kept = kept_tokens(ids)
    sequence = kept.nonzero()[:, 0]
    lengths = kept.sum(1).clamp(min=1)
    labels = ids[:, 1:][kept]
    by_student = (torch.arange(len(ids)) >= len(first)) & (method.responses == "pairs")
    hidden = hidden_states(student, ids, kept)
    with torch.no_grad():
        target = HeadTarget(hidden_states(material.teacher, ids, kept), material.teacher.lm_head)
    use = method.beta(step, steps)
    weight = torch.where(by_student, use.student, use.teacher) / len(first) / lengths

    def terms(alpha: Tensor) -> tuple[Tensor, Tensor]:
        found = distillation_loss(
            hidden,
            student.lm_head,
            target,
            labels,
            by_student[sequence],
            alpha[sequence],
            weight[sequence],
            weight[sequence],
            method.objective,
            CHUNK,
            PAD,
            list(student.lm_head.parameters()),
        )
        means = [
            torch.zeros(len(ids)).index_add(0, sequence, logp) / lengths
            for logp in (found.teacher_logp, found.student_logp)
        ]
        return found.loss, response_gap(means[0], means[1], by_student)

    alpha = torch.full((len(ids),), method.alpha.alpha)
    if method.alpha.name == "fixed":
        return terms(alpha)[0]
    if epoch == 0:
        loss, gap = terms(alpha)
        for kind in (False, True):
            anchors.setdefault(kind, float(gap[by_student == kind].mean()))
        return loss
    with torch.no_grad():
        _, gap = terms(alpha)
    for kind in (False, True):
        rows = by_student == kind
        alpha[rows] = method.alpha(gap[rows], anchors[kind], epoch)
    return terms(alpha)[0]
