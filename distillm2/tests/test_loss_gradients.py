"""Gradients: finite differences, half precision, autocast and scaling, accumulation, and what is refused."""

from __future__ import annotations

import pytest
import torch
from loss_cases import NAMES, Case, assert_close, logits_case, random_case

from distillm2.loss.chunked import distillation_loss, label_logprobs
from distillm2.loss.objective import Divergence, Objective
from distillm2.loss.targets import Target


def capped_loss(case: Case, target: Target, objective: Objective, *tensors: torch.Tensor) -> torch.Tensor:
    """The loss of a head with a bias, a scale and a soft cap; differentiable in hidden, weight, bias."""
    hidden, weight, bias = tensors

    def head(rows: torch.Tensor) -> torch.Tensor:
        return 5 * torch.tanh((rows @ weight.t() + bias) * 0.7 / 5)

    factors = case.alpha, case.token_weight, case.sft_weight
    return distillation_loss(
        hidden,
        head,
        target,
        case.labels,
        case.student_written,
        *factors,
        objective,
        4,
        case.vocabulary,
        [weight, bias],
    ).loss


@pytest.mark.parametrize("top_k", [0, 9, 61])
@pytest.mark.parametrize(
    ("name", "student_written"), [("distillm2", False), ("kl", True), ("rkl", False), ("js", True)]
)
def test_finite_differences(name: Divergence, student_written: bool, top_k: int) -> None:
    case = random_case(6, dtype=torch.float64)
    case.student_written = torch.full((6,), student_written)
    target = case.top_k_target(top_k) if top_k else case.head_target
    tensors = case.hidden, case.weight, torch.randn(64, dtype=torch.float64)
    for tensor in tensors:
        tensor.requires_grad_()
    objective = Objective(name, 1.4, 0.3)
    assert torch.autograd.gradcheck(
        lambda *given: capped_loss(case, target, objective, *given), tensors, fast_mode=True
    )


def test_finite_differences_of_a_fixed_mixture() -> None:
    """SRKL's gradient is that of the divergence from the mixture as it stands, which finite differences must hold."""
    g = torch.Generator().manual_seed(0)
    z, zt = (2 * torch.randn(4, 19, generator=g, dtype=torch.float64) for _ in range(2))
    case = logits_case(z, zt, 0.2)
    case.ours(case.head_target, Objective("distillm")).loss.backward()
    middle = torch.log(0.8 * zt.softmax(-1) + 0.2 * z.softmax(-1))

    def loss(logits: torch.Tensor) -> torch.Tensor:
        log_q = logits.log_softmax(-1)
        return (case.token_weight * (log_q.exp() * (log_q - middle)).sum(-1)).sum()

    step, numeric = 1e-5, torch.empty_like(z)
    for row in range(4):
        for column in range(19):
            shift = torch.zeros_like(z)
            shift[row, column] = step
            numeric[row, column] = (loss(z + shift) - loss(z - shift)) / (2 * step)
    assert case.hidden.grad is not None
    assert_close(case.hidden.grad, numeric, 1e-8)


@pytest.mark.parametrize("name", NAMES)
def test_bf16(name: Divergence) -> None:
    """Models in bf16: the divergence is that of their logits to fp32; only the gradient is rounded to bf16.

    A logit's gradient is rounded once (half of 2^-8 of itself), the sum through the head once and the scaled sum
    once, which bounds the error by 1.5 x 2^-8 of the same sum over magnitudes; 2^-7 is asserted.
    """
    case = random_case(dtype=torch.bfloat16)
    objective = Objective(name, sft_weight=0.2)
    terms = case.ours(case.head_target, objective)
    terms.loss.backward()
    logits = (case.hidden @ case.weight.t())[:, : case.vocabulary].detach().double()
    teacher = (case.teacher_hidden @ case.teacher_weight.t())[:, : case.vocabulary].double()
    exact = logits_case(logits, teacher)
    exact.labels, exact.token_weight, exact.sft_weight = case.labels, case.token_weight, case.sft_weight
    exact.alpha, exact.student_written = case.alpha, case.student_written
    dense, slope, _ = exact.reference(objective)
    assert terms.divergence.dtype == torch.float32
    assert_close(terms.divergence, dense.divergence, 1e-6, 1.0)
    assert_close(terms.student_logp, -dense.cross_entropy, 1e-6)
    assert_close(terms.loss, dense.loss, 1e-6)
    assert case.hidden.grad is not None
    assert case.weight.grad is not None
    assert case.hidden.grad.dtype == torch.bfloat16
    weight = case.weight.detach().double()[: case.vocabulary]
    error = (case.hidden.grad.double() - slope @ weight).abs()
    assert (error <= 2**-7 * (slope.abs() @ weight.abs())).all()
    hidden = case.hidden.detach().double()
    error = (case.weight.grad.double()[: case.vocabulary] - slope.t() @ hidden).abs()
    assert (error <= 2**-7 * (slope.abs().t() @ hidden.abs())).all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast(dtype: torch.dtype) -> None:
    """fp32 tensors under autocast: logits in half precision, gradients in fp32, no weaker for a label pass before."""
    case = random_case()
    with torch.autocast("cpu", dtype=dtype):
        label_logprobs(case.hidden, lambda rows: rows @ case.weight.t(), case.labels, case.vocabulary, 7)
        terms = case.ours(case.head_target, Objective())
    terms.loss.backward()
    dense, hidden_grad, weight_grad = case.reference(Objective())
    tolerance = 0.03 if dtype == torch.bfloat16 else 0.004
    assert_close(terms.loss, dense.loss, tolerance)
    assert case.hidden.grad is not None
    assert case.weight.grad is not None
    assert case.hidden.grad.dtype == case.weight.grad.dtype == torch.float32
    assert_close(case.hidden.grad, hidden_grad, tolerance)
    assert_close(case.weight.grad, weight_grad, tolerance)


def test_grad_scaler_in_fp16_does_not_lose_small_weights() -> None:
    """A token's weight of 1e-7 is below what fp16 holds; its gradient is not lost before the scaler's factor comes."""
    case = random_case()
    case.token_weight = case.token_weight * 1e-7
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**16)
    with torch.autocast("cpu", dtype=torch.float16):
        terms = case.ours(case.head_target, Objective())
    optimizer = torch.optim.SGD([case.hidden, case.weight], lr=1.0)
    scaler.scale(terms.loss).backward()
    scaler.unscale_(optimizer)
    _, hidden_grad, weight_grad = case.reference(Objective())
    assert case.hidden.grad is not None
    assert case.weight.grad is not None
    assert_close(case.hidden.grad, hidden_grad, 0.004)
    assert_close(case.weight.grad, weight_grad, 0.004)


@pytest.mark.parametrize("learns", [False, True])
def test_fp16_keeps_long_responses_beside_short_ones(learns: bool) -> None:
    """Tokens of a long response weigh 1/250 of a short one's in the same chunk; among 32,000 they are as exact."""
    g = torch.Generator().manual_seed(0)
    n, width, vocabulary = 8, 32, 32_000
    hidden, teacher_hidden = torch.randn(2, n, width, generator=g)
    weight, teacher_weight = 0.3 * torch.randn(2, vocabulary, width, generator=g)
    written = torch.arange(n) % 2 == 1
    case = Case(hidden, weight, teacher_hidden, teacher_weight, vocabulary, torch.full((n,), 0.1), written)
    case.token_weight = torch.where(torch.arange(n) < 4, 1 / 4, 1 / 1000)
    _, hidden_grad, weight_grad = case.reference(Objective())
    hidden.requires_grad_()
    weight.requires_grad_(learns)
    with torch.autocast("cpu", dtype=torch.float16):
        loss = distillation_loss(
            hidden,
            lambda rows: rows @ weight.t(),
            case.head_target,
            case.labels,
            written,
            case.alpha,
            case.token_weight,
            torch.zeros(n),
            Objective(),
            4,
            vocabulary,
            [weight] if learns else [],
        ).loss
    loss.backward()
    assert hidden.grad is not None
    error = (hidden.grad - hidden_grad).norm(dim=-1) / hidden_grad.norm(dim=-1)
    assert error.max() < 0.003
    if learns:
        assert weight.grad is not None
        assert_close(weight.grad, weight_grad, 0.008)  # logits of 8 are rounded by 0.004


def test_accumulation_adds_up() -> None:
    """Two halves of a batch, one after the other, give the gradients of the whole."""
    case = random_case(22)
    parts = []
    for half in (slice(0, 11), slice(11, 22)):
        part = Case(
            case.hidden[half],
            case.weight,
            case.teacher_hidden[half],
            case.teacher_weight,
            case.vocabulary,
            case.alpha[half],
            case.student_written[half],
        )
        part.labels, part.token_weight = case.labels[half], case.token_weight[half]
        parts.append(part)
    weight = case.weight.clone().requires_grad_()
    for part in parts:
        part.weight = weight
        (
            distillation_loss(
                part.hidden,
                lambda rows: rows @ weight.t(),
                part.head_target,
                part.labels,
                part.student_written,
                part.alpha,
                part.token_weight,
                part.sft_weight,
                Objective(),
                7,
                part.vocabulary,
                [weight],
            ).loss
            / 2
        ).backward()
    _, _, expected = case.reference(Objective())
    assert weight.grad is not None
    assert_close(weight.grad, expected / 2, 1e-6, 1.0)


def test_backward_twice() -> None:
    """With retain_graph the gradients add up; without it PyTorch says so; a second derivative is refused."""
    case = random_case()
    loss = case.ours(case.head_target, Objective()).loss
    loss.backward(retain_graph=True)
    assert case.hidden.grad is not None
    once = case.hidden.grad.clone()
    loss.backward()
    assert torch.equal(case.hidden.grad, 2 * once)
    with pytest.raises(RuntimeError, match="second time"):
        loss.backward()
    loss = case.ours(case.head_target, Objective()).loss
    (grad,) = torch.autograd.grad(loss * loss, case.hidden, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        grad.sum().backward()


def test_no_gradients_without_grad_mode() -> None:
    """An evaluation differentiates nothing, and its loss and statistics are those of training."""
    case = random_case()
    seen = []

    class Watched(torch.autograd.Function):
        @staticmethod
        def forward(ctx: object, logits: torch.Tensor) -> torch.Tensor:
            return logits.clone()

        @staticmethod
        def backward(ctx: object, grad: torch.Tensor) -> torch.Tensor:
            seen.append(grad.shape)
            return grad

    def run() -> list[torch.Tensor]:
        return list(
            distillation_loss(
                case.hidden,
                lambda rows: Watched.apply(rows @ case.weight.t()),
                case.head_target,
                case.labels,
                case.student_written,
                case.alpha,
                case.token_weight,
                case.sft_weight,
                Objective(),
                7,
                case.vocabulary,
            )
        )

    case.hidden.requires_grad_()
    with torch.no_grad():
        quiet = run()
    assert seen == []
    assert not quiet[0].requires_grad
    trained = run()
    assert seen
    assert all(torch.equal(a, b) for a, b in zip(quiet, trained, strict=True))


def test_only_the_head_learns() -> None:
    case = random_case()
    weight = case.weight.clone().requires_grad_()
    terms = distillation_loss(
        case.hidden,
        lambda rows: rows @ weight.t(),
        case.head_target,
        case.labels,
        case.student_written,
        case.alpha,
        case.token_weight,
        case.sft_weight,
        Objective(),
        7,
        case.vocabulary,
        [weight],
    )
    terms.loss.backward()
    assert weight.grad is not None
    assert_close(weight.grad, case.reference(Objective())[2], 1e-6, 1.0)
