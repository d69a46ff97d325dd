"""Cached top-k targets: with k = V the online loss, with fewer its coarsened form."""

from __future__ import annotations

import pytest
import torch
from loss_cases import NAMES, assert_close, assert_parity, logits_case, random_case

from distillm2.errors import DistillationError
from distillm2.loss.chunked import target_logprobs
from distillm2.loss.objective import Divergence, Objective
from distillm2.loss.targets import TopKTarget


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("temperature", [1.0, 1.7])
@pytest.mark.parametrize("share", [0.0, 0.4])
def test_all_tokens_cached_is_the_online_loss(name: Divergence, temperature: float, share: float) -> None:
    case = random_case()
    assert_parity(case, case.top_k_target(case.vocabulary), Objective(name, temperature, share), 1e-6)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("k", [1, 8, 60])
@pytest.mark.parametrize("temperature", [1.0, 1.7])
@pytest.mark.parametrize("share", [0.0, 0.4])
def test_fewer_tokens_are_the_coarsened_loss(name: Divergence, k: int, temperature: float, share: float) -> None:
    case = random_case()
    target = case.top_k_target(k)
    assert_parity(case, target, Objective(name, temperature, share), 1e-6, ids=target.ids)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["flat", "student peaked inside", "student peaked outside", "teacher peaked", "wide"])
def test_nothing_or_everything_in_the_rest(name: Divergence, kind: str) -> None:
    """Rests of almost no mass and of almost all of it, on either side."""
    g = torch.Generator().manual_seed(1)
    student, teacher = (torch.randn(9, 40, generator=g) for _ in range(2))
    ids = teacher.topk(6).indices
    if kind == "student peaked inside":
        student.scatter_(-1, ids, 60.0)
    if kind == "student peaked outside":
        student.scatter_(-1, ids, -60.0)
    if kind == "teacher peaked":
        teacher.scatter_(-1, ids, 40.0)
    if kind == "wide":
        student *= 1e4
    if kind == "flat":
        student, teacher = student * 1e-3, teacher * 1e-3
    case = logits_case(student, teacher)
    target = case.top_k_target(6)
    assert_parity(case, target, Objective(name, sft_weight=0.2), 1e-6, ids=target.ids)


@pytest.mark.parametrize("name", NAMES)
def test_a_tail_of_no_mass_stays_finite(name: Divergence) -> None:
    """A cache rounded so far that its tail is -inf although the student's rest is not."""
    case = random_case()
    full = case.top_k_target(8)
    logprobs = full.logprobs.log_softmax(-1)
    target = TopKTarget(full.ids, logprobs, torch.full((23,), -torch.inf), full.label_logp)
    terms = case.ours(target, Objective(name))
    terms.loss.backward()
    assert case.hidden.grad is not None
    assert torch.isfinite(terms.loss)
    assert torch.isfinite(case.hidden.grad).all()


@pytest.mark.parametrize("name", ["distillm2", "distillm", "kl", "rkl"])
def test_coarsening_only_lowers_a_divergence(name: Divergence) -> None:
    """Data processing: the fewer tokens are told apart, the less the two models differ."""
    case = random_case()
    online = case.ours(case.head_target, Objective(name)).divergence
    last = torch.zeros_like(online)
    for k in (1, 4, 16, 61):
        found = case.ours(case.top_k_target(k), Objective(name)).divergence
        assert (found >= last - 1e-6).all()
        last = found
    assert_close(last, online.double(), 1e-6)


def test_half_precision_caches() -> None:
    """Log-probabilities stored in fp16 are off by at most 2^-11 of themselves, and the loss by as much."""
    case = random_case()
    target = case.top_k_target(16)
    halved = TopKTarget(target.ids, target.logprobs.half(), target.tail.half(), target.label_logp.half())
    full = case.ours(target, Objective()).divergence
    assert_close(case.ours(halved, Objective()).divergence, full.double(), 2**-11 * 16)


def test_a_label_outside_the_top_k_has_its_own_log_probability() -> None:
    case = random_case()
    target = case.top_k_target(2)
    assert not (target.ids == case.labels.unsqueeze(-1)).any(-1).all()
    assert torch.equal(case.ours(target, Objective()).teacher_logp, target.label_logp)
    assert torch.equal(target_logprobs(target, case.labels, case.vocabulary, 7), target.label_logp)


def test_ids_beyond_the_vocabulary_and_wrong_shapes_are_refused() -> None:
    case = random_case()
    target = case.top_k_target(4)
    with pytest.raises(DistillationError, match="below the common vocabulary of 61"):
        case.ours(TopKTarget(target.ids + 60, target.logprobs, target.tail, target.label_logp), Objective())
    with pytest.raises(DistillationError, match=r"\[n, k\]"):
        TopKTarget(target.ids, target.logprobs[:, :2], target.tail, target.label_logp)
