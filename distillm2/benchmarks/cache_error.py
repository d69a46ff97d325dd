"""Error of loss and gradient when the teacher is a top-k cache, beside the whole distribution, as Markdown tables.

The distributions are synthetic: next-token probabilities fall with rank r as r^-s over a shuffled vocabulary, s set per
token so that the entropies are those of generated text (over half of the tokens below 0.01 nats, a fifth above 0.672:
Wang et al., arXiv 2506.01939, Qwen3-8B) or, for a harder case, spread evenly from 0 to 4 nats. The student has the
teacher's logits times 0.8 plus normal noise of deviation 1.

Run: python distillm2/benchmarks/cache_error.py [--tokens 256] [--vocabulary 151936] [--seed 0]
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from distillm2.loss.chunked import distillation_loss
from distillm2.loss.objective import Objective
from distillm2.loss.targets import HeadTarget, Target, TopKTarget
from distillm2.teacher.cache_format import Precision, token_bytes

TOP_K = (1, 4, 16, 32, 64, 128, 256, 1024)
PRECISION_K = 64
ALPHA = 0.1


@dataclass(frozen=True)
class Case:
    """Logits [n, V] of teacher and student; labels [n] sampled from the teacher."""

    name: str
    teacher: Tensor
    student: Tensor
    labels: Tensor


@dataclass(frozen=True)
class Outcome:
    """The mean divergence and its gradient [n, V] with respect to the student's logits."""

    loss: float
    gradient: Tensor


def generated_text_entropies(tokens: int) -> Tensor:
    """[n] nats: log-normal with median 0.01 and 80th percentile 0.672, at most 5."""
    deviation = math.log(0.672 / 0.01) / 0.8416
    return torch.empty(tokens, dtype=torch.float64).log_normal_(math.log(0.01), deviation).clamp(1e-6, 5)


def even_entropies(tokens: int) -> Tensor:
    """[n] nats: evenly from 0 to 4."""
    return torch.rand(tokens, dtype=torch.float64) * 4


def zipf_logits(entropies: Tensor, vocabulary: int) -> Tensor:
    """Log-probabilities [n, V] that fall with rank as r^-s and have these entropies."""
    log_rank = torch.arange(1, vocabulary + 1, dtype=torch.float64).log()
    steepness = torch.linspace(0.8, 40, 800, dtype=torch.float64)
    known = torch.stack([_entropy(-s * log_rank) for s in steepness])
    chosen = steepness[(known[None] - entropies[:, None]).abs().argmin(dim=1)]
    return torch.stack([(-s * log_rank).log_softmax(0).float()[torch.randperm(vocabulary)] for s in chosen])


def make_case(name: str, entropies: Tensor, vocabulary: int) -> Case:
    teacher = zipf_logits(entropies, vocabulary)
    student = 0.8 * teacher + torch.randn_like(teacher)
    labels = torch.cat([rows.exp().multinomial(1) for rows in teacher.split(16)])[:, 0]
    return Case(name, teacher, student, labels)


def top_k_target(case: Case, top_k: int, precision: Precision) -> TopKTarget:
    """What a cache gives back."""
    logprobs = case.teacher.log_softmax(-1)
    top = logprobs.topk(top_k)
    tail = logprobs.scatter(1, top.indices, -torch.inf).logsumexp(-1)
    stored = top.values.to(getattr(torch, precision)).float()
    return TopKTarget(top.indices, stored, tail, logprobs.gather(1, case.labels[:, None])[:, 0])


def measure(case: Case, target: Target, student_written: bool) -> Outcome:
    """SKL of the rows, or SRKL where the student wrote them."""
    tokens, vocabulary = case.student.shape
    logits = case.student.clone().requires_grad_()
    terms = distillation_loss(
        logits,
        lambda rows: rows * 1.0,
        target,
        case.labels,
        torch.full((tokens,), student_written),
        torch.full((tokens,), ALPHA),
        torch.full((tokens,), 1 / tokens),
        torch.zeros(tokens),
        Objective("distillm2"),
        chunk_size=32,
        vocabulary=vocabulary,
    )
    terms.loss.backward()
    assert logits.grad is not None
    return Outcome(terms.loss.item(), logits.grad)


def row(size: list[str], exact_runs: list[Outcome], found_runs: list[Outcome]) -> str:
    """One line of a table: the size, then for each divergence the errors of what was found."""
    cells = size.copy()
    for exact, found in zip(exact_runs, found_runs, strict=True):
        a, b = exact.gradient.flatten().double(), found.gradient.flatten().double()
        loss = abs(found.loss - exact.loss) / exact.loss
        cells += [f"{loss:.1e}", f"{(a - b).norm() / a.norm():.1e}", f"{torch.cosine_similarity(a, b, dim=0):.5f}"]
    return f"| {' | '.join(cells)} |"


def report(case: Case) -> None:
    """Print the table of a case: every k against the whole distribution, and fp16 against fp32 at one k."""
    kinds = [("SKL", False), ("SRKL", True)]
    exact = [measure(case, HeadTarget(case.teacher, lambda rows: rows), written) for _, written in kinds]
    entropy = torch.stack([_entropy(logits.double()) for logits in case.teacher])
    losses = ", ".join(f"{name} {outcome.loss:.4f}" for (name, _), outcome in zip(kinds, exact, strict=True))
    print(
        f"\n{case.name}: {len(entropy)} tokens, vocabulary {case.teacher.shape[1]:,}; entropy median "
        f"{entropy.median():.3f}, mean {entropy.mean():.2f} nats, {(entropy > 0.672).double().mean():.0%} above 0.672; "
        f"{losses}\n"
    )
    columns = ["k", "bytes a token", "GB a million tokens", "mean tail mass"]
    columns += [f"{name} {error}" for name, _ in kinds for error in ("loss", "gradient", "cosine")]
    print(f"| {' | '.join(columns)} |\n{'| ---: ' * len(columns)}|")

    for top_k in TOP_K:
        target = top_k_target(case, top_k, "float16")
        found = [measure(case, target, written) for _, written in kinds]
        size = token_bytes(top_k, "float16")
        tail = target.tail.exp().mean().item()
        print(row([f"{top_k:,}", f"{size:,}", f"{size / 1000:.3g}", f"{tail:.1e}"], exact, found), flush=True)
        if top_k == PRECISION_K:
            wide = top_k_target(case, top_k, "float32")
            rounding = row([], [measure(case, wide, written) for _, written in kinds], found)
    print(f"\nRounding of k = {PRECISION_K} to fp16 alone: {rounding}")


def _entropy(logits: Tensor) -> Tensor:
    logprobs = logits.log_softmax(-1)
    return -(logprobs.exp() * logprobs).sum()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=256)
    parser.add_argument("--vocabulary", type=int, default=151_936)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    cases = {"generated text": generated_text_entropies, "even, 0 to 4 nats": even_entropies}
    for name, entropies in cases.items():
        report(make_case(name, entropies(arguments.tokens), arguments.vocabulary))


if __name__ == "__main__":
    main()
