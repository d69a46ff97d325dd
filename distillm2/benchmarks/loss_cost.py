"""Time and memory of the loss on a CPU: full logits and autograd against ours, forward and backward.

    python distillm2/benchmarks/loss_cost.py --vocabulary 32000 152000

Every form has a process of its own, and the processes take turns, call by call, so that whatever else the machine
does slows all of them. A first call, not timed, warms up. Times are medians, their ratio is the median over turns.
Memory is the high-water mark of the resident set over all calls, less its size once the inputs were made; Linux resets
the mark on request (VmHWM), getrusage's would remember how the inputs were made. V = 152,000 needs about 12 GB of
memory and gets fewer calls. With --gpu it runs step_cost.py.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

DENSE = {"dense, both divergences": "dense, both (as released)", "dense, one divergence": "dense, one"}
SMALLER, NOT_SLOWER = 8.0, 1.0
LARGE_VOCABULARY = 150_000  # from here on the memory has a goal, and calls take seconds
LARGE_REPEATS = 3


def status(field: str) -> float:
    """A field of /proc/self/status in MiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1024
    raise KeyError(field)


def serve(name: str, vocabulary: int, arguments: argparse.Namespace) -> None:
    """Make the inputs, then answer every line on stdin with one call's seconds, MiB and loss as JSON."""
    import torch
    from loss_forms import Batch, form

    torch.set_num_threads(arguments.threads)
    batch = Batch.random(arguments.tokens, arguments.hidden, arguments.teacher_hidden, vocabulary, "cpu", "float32")
    loss_of = form(name)
    Path("/proc/self/clear_refs").write_text("5")
    before = status("VmRSS")
    for _ in sys.stdin:
        batch.hidden.grad = None
        start = time.perf_counter()
        loss = loss_of(batch)
        loss.backward()
        seconds = time.perf_counter() - start
        assert batch.hidden.grad is not None
        answer = {"seconds": seconds, "mib": status("VmHWM") - before, "loss": loss.item()}
        print(json.dumps(answer | {"gradient": batch.hidden.grad.double().norm().item()}), flush=True)


def measure(
    names: list[str], vocabulary: int, repeats: int, arguments: argparse.Namespace
) -> dict[str, list[dict[str, float]]]:
    """The ``repeats`` calls of every form, in turns."""
    from rich.progress import track

    environment = os.environ | {"OMP_NUM_THREADS": str(arguments.threads)}
    processes = {
        name: subprocess.Popen(
            [sys.executable, __file__, *sys.argv[1:], "--serve", name, str(vocabulary)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for name in names
    }
    found: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    try:
        for turn in track(range(repeats + 1), f"V = {vocabulary:,}"):
            for name, process in processes.items():
                assert process.stdin is not None
                assert process.stdout is not None
                process.stdin.write("\n")
                process.stdin.flush()
                answer = process.stdout.readline()
                if not answer:
                    raise SystemExit(f"The process of '{name}' ended with {process.wait()}; see above.")
                if turn:
                    found[name].append(json.loads(answer))
    finally:
        for process in processes.values():
            process.kill()
    return found


def beside(calls: list[dict[str, float]], base: list[dict[str, float]]) -> tuple[float, float]:
    """The time of ``calls`` over that of ``base``, and how many times smaller their memory is."""
    time_ratio = statistics.median(c["seconds"] / b["seconds"] for c, b in zip(calls, base, strict=True))
    return time_ratio, max(b["mib"] for b in base) / max(c["mib"] for c in calls)


def report(found: dict[str, list[dict[str, float]]], vocabulary: int, arguments: argparse.Namespace) -> None:
    """A table, and the verdict on the default chunk size against every dense form."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console(width=100)
    base = next(iter(DENSE))
    table = Table(
        title=f"V = {vocabulary:,}: {arguments.tokens} tokens, hidden {arguments.hidden}/{arguments.teacher_hidden}, "
        f"fp32, {arguments.threads} threads, {len(found[base])} calls each",
        caption=f"Time and memory ratios are beside {DENSE[base]}.",
        box=box.SIMPLE_HEAD,
    )
    for column in ("form", "seconds", "MiB", "time ratio", "memory ratio", "loss", "|gradient|"):
        table.add_column(column, justify="left" if column == "form" else "right", no_wrap=True)
    for name, calls in found.items():
        time_ratio, memory_ratio = beside(calls, found[base])
        table.add_row(
            DENSE.get(name, name),
            f"{statistics.median(call['seconds'] for call in calls):.2f}",
            f"{max(call['mib'] for call in calls):,.0f}",
            f"{time_ratio:.2f}x",
            f"{memory_ratio:.1f}x",
            f"{calls[-1]['loss']:.6f}",
            f"{calls[-1]['gradient']:.7f}",
        )
    console.print(table)
    for name in (f"chunk {arguments.chunks[0]}", f"chunk {arguments.chunks[0]}, adaptive alpha"):
        for dense, label in DENSE.items():
            console.print(verdict(name, label, *beside(found[name], found[dense]), vocabulary), soft_wrap=True)


def verdict(name: str, dense: str, time_ratio: float, memory_ratio: float, vocabulary: int) -> str:
    """One form of ours against one dense form, in words."""
    goal = f" ({'meets' if memory_ratio >= SMALLER else 'misses'} the goal of {SMALLER:.0f}x)"
    return (
        f"V = {vocabulary:,}, {name} against {dense}: memory {memory_ratio:.1f}x smaller"
        f"{goal if vocabulary >= LARGE_VOCABULARY else ''}, time {time_ratio:.2f}x "
        f"({'meets' if time_ratio <= NOT_SLOWER else 'misses'} the goal of at most {NOT_SLOWER:.1f}x)."
    )


def main() -> None:
    """Measure and report every vocabulary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gpu", action="store_true", help="run step_cost.py instead, on the GPU")
    parser.add_argument("--vocabulary", type=int, nargs="+", default=[32_000, 152_000])
    parser.add_argument("--tokens", type=int, default=512)
    parser.add_argument("--hidden", type=int, default=1024)
    parser.add_argument("--teacher-hidden", type=int, default=2048)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--repeats", type=int, default=5, help=f"at most {LARGE_REPEATS} for V of {LARGE_VOCABULARY:,} and more"
    )
    parser.add_argument("--chunks", type=int, nargs="+", default=[128], help="the verdict is on the first")
    parser.add_argument("--serve", nargs=2, metavar=("FORM", "V"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.gpu:
        script = Path(__file__).with_name("step_cost.py")
        raise SystemExit(subprocess.run([sys.executable, str(script)], check=False).returncode)
    if arguments.serve:
        serve(arguments.serve[0], int(arguments.serve[1]), arguments)
        return
    chunks = [f"chunk {size}" for size in arguments.chunks]
    names = [*DENSE, *chunks, f"{chunks[0]}, adaptive alpha"]
    for vocabulary in arguments.vocabulary:
        repeats = min(arguments.repeats, LARGE_REPEATS) if vocabulary >= LARGE_VOCABULARY else arguments.repeats
        report(measure(names, vocabulary, repeats, arguments), vocabulary, arguments)


if __name__ == "__main__":
    main()
