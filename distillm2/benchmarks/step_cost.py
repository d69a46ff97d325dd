"""Tokens a second and peak memory on a GPU: the loss alone, and a full training step under a memory cap.

    python distillm2/benchmarks/step_cost.py
    python distillm2/benchmarks/step_cost.py --device cpu --scale 0.02 --vocabulary 500 --tokens 64   # its code path

Models of Qwen3-1.7B's (student) and Qwen3-8B's (teacher) shapes with random weights in bf16, two responses of 2,048
tokens, all of them in the loss. A step: teacher forward, student forward with gradient checkpointing and LoRA of rank
16 on all linear layers, loss, backward, AdamW. Every form runs in a process of its own, under the cap first; one that
does not fit runs again without it, if the device is larger.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import Tensor

CAP = "capped"
FREE = "free"
DENSE = "dense, both divergences"
FASTER, SMALLER = 2.0, 4.0
OUT_OF_MEMORY = 3  # exit status of a measuring process


@dataclass(frozen=True)
class Shape:
    """Of a Qwen3 model."""

    hidden: int
    layers: int
    heads: int
    intermediate: int
    tied: bool

    def width(self, scale: float) -> int:
        """Of the hidden states."""
        return max(32, int(self.hidden * scale))

    def config(self, vocabulary: int, scale: float) -> Any:
        """A configuration; ``scale`` shrinks every dimension, for trials without a GPU."""
        from transformers import Qwen3Config

        heads = max(2, int(self.heads * scale) // 2 * 2)
        return Qwen3Config(
            vocab_size=vocabulary,
            hidden_size=self.width(scale),
            intermediate_size=max(64, int(self.intermediate * scale)),
            num_hidden_layers=max(1, int(self.layers * scale)),
            num_attention_heads=heads,
            num_key_value_heads=heads if scale < 1 else 8,
            head_dim=128 if scale == 1 else 16,
            tie_word_embeddings=self.tied,
            max_position_embeddings=40960,
        )


STUDENT = Shape(2048, 28, 16, 6144, tied=True)  # Qwen3-1.7B
TEACHER = Shape(4096, 36, 32, 12288, tied=False)  # Qwen3-8B


class Meter:
    """Clock and memory of one device."""

    def __init__(self, device: str) -> None:
        self.cuda = device == "cuda"

    def cap(self, gigabytes: float) -> None:
        """Let this process allocate no more than ``gigabytes`` (10^9 bytes)."""
        if self.cuda:
            import torch

            share = gigabytes * 1e9 / torch.cuda.get_device_properties(0).total_memory
            if share < 1:
                torch.cuda.set_per_process_memory_fraction(share)

    def run(self, call: Callable[[], None], repeats: int) -> dict[str, float]:
        """Median seconds, peak MiB and the MiB that were there before; the first call warms up."""
        import torch

        before = torch.cuda.memory_allocated() / 2**20 if self.cuda else 0.0
        seconds = []
        for _ in range(repeats + 1):
            if self.cuda:
                torch.cuda.synchronize()
                torch.cuda.reset_peak_memory_stats()
            start = time.perf_counter()
            call()
            if self.cuda:
                torch.cuda.synchronize()
            seconds.append(time.perf_counter() - start)
        peak = torch.cuda.max_memory_allocated() / 2**20 if self.cuda else 0.0
        reserved = torch.cuda.max_memory_reserved() / 2**20 if self.cuda else 0.0
        return {"seconds": statistics.median(seconds[1:]), "peak": peak, "reserved": reserved, "before": before}


def loss_call(form_name: str, arguments: argparse.Namespace) -> Callable[[], None]:
    """Forward and backward of the loss from hidden states."""
    from loss_forms import Batch, form

    widths = [shape.width(arguments.scale) for shape in (STUDENT, TEACHER)]
    batch = Batch.random(arguments.tokens, *widths, arguments.vocabulary, arguments.device, "bfloat16")
    loss_of = form(form_name)

    def call() -> None:
        batch.hidden.grad = None
        loss_of(batch).backward()

    return call


def step_call(form_name: str, arguments: argparse.Namespace) -> Callable[[], None]:
    """A full training step."""
    import torch
    from loss_forms import Batch, form
    from peft import LoraConfig, get_peft_model
    from transformers import Qwen3ForCausalLM

    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16)
    with torch.device(arguments.device):
        teacher, student = (
            Qwen3ForCausalLM(shape.config(arguments.vocabulary, arguments.scale)) for shape in (TEACHER, STUDENT)
        )
    torch.set_default_dtype(torch.float32)
    teacher.eval().requires_grad_(False)
    student.config.use_cache = False
    student.enable_input_require_grads()
    student.gradient_checkpointing_enable({"use_reentrant": False})
    tuned = get_peft_model(student, LoraConfig(r=16, lora_alpha=32, target_modules="all-linear")).train()
    trainable = [parameter for parameter in tuned.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trainable, lr=5e-5)
    ids = torch.randint(0, arguments.vocabulary, (2, arguments.tokens // 2 + 1), device=arguments.device)
    loss_of = form(form_name)

    def last_hidden(model: torch.nn.Module) -> Tensor:
        return model.model(input_ids=ids[:, :-1], use_cache=False).last_hidden_state

    def call() -> None:
        with torch.no_grad():
            teacher_hidden = last_hidden(teacher)
        batch = Batch(last_hidden(student), student.lm_head.weight, teacher_hidden, teacher.lm_head.weight, ids[:, 1:])
        loss_of(batch).backward()
        optimizer.step()
        optimizer.zero_grad()

    return call


def serve(part: str, form_name: str, limit: str, arguments: argparse.Namespace) -> None:
    """Measure one form and print the result as JSON; exit with OUT_OF_MEMORY where it does not fit."""
    import torch

    meter = Meter(arguments.device)
    if limit == CAP:
        meter.cap(arguments.cap)
    try:
        call = (loss_call if part == "loss" else step_call)(form_name, arguments)
        print(json.dumps(meter.run(call, arguments.repeats)))
    except torch.OutOfMemoryError:
        raise SystemExit(OUT_OF_MEMORY) from None


def measure(part: str, form_name: str, limit: str) -> dict[str, float] | None:
    """The result of a process of its own, or None where it ran out of memory."""
    command = [sys.executable, __file__, *sys.argv[1:], "--serve", part, form_name, limit]
    process = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if process.returncode == OUT_OF_MEMORY:
        return None
    if process.returncode:
        raise SystemExit(f"Measuring '{form_name}' failed with exit status {process.returncode}; see above.")
    found: dict[str, float] = json.loads(process.stdout.splitlines()[-1])
    return found


def report(part: str, names: list[str], arguments: argparse.Namespace) -> None:
    """A table of one part, and what it says about the goals."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    what = "Loss from hidden states" if part == "loss" else f"Training step, capped at {arguments.cap:.0f} GB"
    table = Table(title=f"{what}: V = {arguments.vocabulary:,}, {arguments.tokens:,} tokens, bf16, {arguments.device}")
    for column in ("form", "tokens/s", "peak MiB", "of it for the call", "reserved MiB", "fits the cap"):
        table.add_column(column, justify="left" if column == "form" else "right")
    found: dict[str, dict[str, float]] = {}
    capped: dict[str, bool] = {}
    for name in names:
        result = measure(part, name, CAP)
        capped[name] = result is not None
        result = result or measure(part, name, FREE)
        if result is None:
            table.add_row(name, "out of memory", "", "", "", "no")
            continue
        found[name] = result
        table.add_row(
            name,
            f"{arguments.tokens / result['seconds']:,.0f}",
            f"{result['peak']:,.0f}",
            f"{result['peak'] - result['before']:,.0f}",
            f"{result['reserved']:,.0f}",
            "yes" if capped[name] else "no (measured without it)",
        )
    console.print(table)
    if arguments.device == "cpu":
        console.print("Nothing is concluded from a CPU, whose memory is not measured here.")
        return
    ours = f"chunk {arguments.chunks[0]}"
    if part == "step":
        console.print(f"A step with {ours} {'fits' if capped[ours] else 'does not fit'} {arguments.cap:.0f} GB.")
    for other in names[len(arguments.chunks) :]:
        if ours not in found or other not in found:
            console.print(f"{ours} against {other}: no ratio, since one of them ran out of memory.")
            continue
        mine, its = found[ours], found[other]
        speed = its["seconds"] / mine["seconds"]
        memory = (its["peak"] - its["before"]) / max(mine["peak"] - mine["before"], 1e-9)
        verdict = "meets" if speed >= FASTER or memory >= SMALLER else "misses"
        console.print(
            f"{ours} against {other}: {speed:.2f}x the tokens a second, {memory:.1f}x less memory for the call "
            f"({verdict} the goal of {FASTER:.0f}x the speed or {SMALLER:.0f}x less memory)."
        )


def main() -> None:
    """Measure both parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--vocabulary", type=int, default=152_000)
    parser.add_argument("--tokens", type=int, default=4096, help="of both responses together")
    parser.add_argument("--cap", type=float, default=24.0, help="memory cap in GB")
    parser.add_argument("--scale", type=float, default=1.0, help="shrink the models, for a trial on a CPU")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--chunks", type=int, nargs="+", default=[128, 512], help="ratios are those of the first")
    parser.add_argument("--parts", nargs="+", choices=["loss", "step"], default=["loss", "step"])
    parser.add_argument("--without-trl", action="store_true", help="leave TRL's GKD loss out")
    parser.add_argument("--serve", nargs=3, metavar=("PART", "FORM", "LIMIT"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(*arguments.serve, arguments)
        return
    if arguments.device == "cuda":
        import torch

        if not torch.cuda.is_available():
            raise SystemExit("No GPU is at hand. Try the code path with --device cpu --scale 0.02 --vocabulary 500.")
    chunked = [name for size in arguments.chunks for name in (f"chunk {size}", f"chunk {size}, adaptive alpha")]
    names = [*chunked, DENSE, "dense, one divergence"]
    if not arguments.without_trl:
        names.append("TRL GKD")
    for part in arguments.parts:
        report(part, names, arguments)


if __name__ == "__main__":
    main()
