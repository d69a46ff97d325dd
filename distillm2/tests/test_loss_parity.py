"""The chunked loss against the dense float64 reference, with every option."""

from __future__ import annotations

import pytest
import torch
from loss_cases import NAMES, Case, assert_close, assert_parity, logits_case, random_case

from distillm2.loss.chunked import distillation_loss, label_logprobs, target_logprobs
from distillm2.loss.objective import Divergence, Objective
from distillm2.loss.targets import HeadTarget

FP32 = 1e-6


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("alpha", [0.01, 0.1, 0.5, 0.95, None])
@pytest.mark.parametrize("temperature", [1.0, 0.7, 2.0])
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_options_in_fp32(name: Divergence, alpha: float | None, temperature: float, share: float) -> None:
    case = random_case(alpha=alpha)
    assert_parity(case, case.head_target, Objective(name, temperature, share), FP32)


@pytest.mark.parametrize("name", NAMES)
def test_float64_stays_float64(name: Divergence) -> None:
    case = random_case(dtype=torch.float64)
    assert_parity(case, case.head_target, Objective(name, 1.3, 0.2), 1e-13)
    assert case.ours(case.head_target, Objective(name)).loss.dtype == torch.float64


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("chunk_size", [1, 7, 23, 100])
def test_chunk_sizes(name: Divergence, chunk_size: int) -> None:
    case = random_case()
    assert_parity(case, case.head_target, Objective(name, sft_weight=0.1), FP32, chunk_size=chunk_size)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("student_written", [False, True])
def test_rows_of_one_kind(name: Divergence, student_written: bool) -> None:
    case = random_case()
    case.student_written = torch.full_like(case.student_written, student_written)
    assert_parity(case, case.head_target, Objective(name), FP32)


@pytest.mark.parametrize("name", NAMES)
def test_no_tokens(name: Divergence) -> None:
    case = random_case(0)
    terms = case.ours(case.head_target, Objective(name, sft_weight=0.5))
    terms.loss.backward()
    assert terms.loss.item() == 0
    assert [len(column) for column in terms[1:]] == [0, 0, 0]
    assert case.hidden.grad is not None
    assert case.hidden.grad.shape == (0, 16)
    assert case.weight.grad is not None
    assert not case.weight.grad.any()
    assert len(label_logprobs(case.hidden, lambda rows: rows @ case.weight.t(), case.labels, 61, 7)) == 0


def extreme(kind: str, dtype: torch.dtype = torch.float32) -> Case:
    """Logits far outside what models give."""
    g = torch.Generator().manual_seed(3)
    n, vocabulary = 12, 53
    noise = [torch.randn(n, vocabulary, generator=g).to(dtype) for _ in range(2)]
    if kind == "signs":
        return logits_case(1e4 * noise[0].sign(), 1e4 * noise[1].sign())
    if kind == "wide":
        return logits_case(1e4 * noise[0], 1e4 * noise[1])
    if kind == "large offset":
        return logits_case(noise[0].round(decimals=1) + 8192, noise[1].round(decimals=1) - 8192)
    if kind == "identical":
        return logits_case(3 * noise[0], 3 * noise[0])
    if kind == "identical wide":
        return logits_case(1e4 * noise[0], 1e4 * noise[0])
    peaked = torch.zeros(n, vocabulary, dtype=dtype)
    peaked[torch.arange(n), torch.randint(0, vocabulary, (n,), generator=g)] = 1e4
    if kind == "one-hot teacher":
        return logits_case(noise[0], peaked)
    if kind == "one-hot student":
        return logits_case(peaked, noise[1])
    return logits_case(peaked, peaked.roll(1, -1))


EXTREMES = [
    "signs",
    "wide",
    "large offset",
    "identical",
    "identical wide",
    "one-hot teacher",
    "one-hot student",
    "one-hot both",
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", EXTREMES)
@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_extreme_logits(name: Divergence, kind: str, temperature: float) -> None:
    case = extreme(kind)
    assert_parity(case, case.head_target, Objective(name, temperature, 0.2), FP32)


@pytest.mark.parametrize("name", NAMES)
def test_identical_models_have_no_divergence(name: Divergence) -> None:
    case = extreme("identical")
    terms = case.ours(case.head_target, Objective(name))
    assert terms.divergence.abs().max() < 1e-6


@pytest.mark.parametrize("name", NAMES)
def test_a_vocabulary_of_many_blocks(name: Divergence) -> None:
    """Rows longer than a block of temporaries, nearly uniform: the sums of 300,000 small terms keep 1e-6."""
    g = torch.Generator().manual_seed(5)
    student, teacher = (torch.randn(3, 300_000, generator=g) for _ in range(2))
    case = logits_case(student[:, :53], teacher[:, :53])
    case.vocabulary = 300_000
    hidden = student.requires_grad_()
    factors = case.alpha[:3], case.token_weight[:3], case.sft_weight[:3]
    written = case.student_written[:3]
    terms = distillation_loss(
        hidden,
        lambda rows: rows,
        HeadTarget(teacher, lambda rows: rows),
        case.labels[:3],
        written,
        *factors,
        Objective(name),
        2,
        300_000,
    )
    terms.loss.backward()
    from dense_reference import dense_loss

    exact = student.detach().double().requires_grad_()
    dense = dense_loss(exact, teacher.double(), case.labels[:3], written, *factors, name=name)
    dense.loss.backward()
    assert exact.grad is not None
    assert hidden.grad is not None
    assert_close(terms.divergence, dense.divergence, FP32)
    assert_close(terms.loss, dense.loss, FP32)
    assert_close(hidden.grad, exact.grad, FP32)


def test_label_logprobs_agree_with_the_loss() -> None:
    case = random_case()
    terms = case.ours(case.head_target, Objective())
    student = label_logprobs(case.hidden, lambda rows: rows @ case.weight.t(), case.labels, case.vocabulary, 5)
    teacher = target_logprobs(case.head_target, case.labels, case.vocabulary, 5)
    assert not student.requires_grad
    assert torch.allclose(student, terms.student_logp, atol=1e-6, rtol=1e-6)
    assert torch.allclose(teacher, terms.teacher_logp, atol=1e-6, rtol=1e-6)
