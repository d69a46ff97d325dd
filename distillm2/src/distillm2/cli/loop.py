"""``distillm2 loop``: the command around :mod:`distillm2.experiments.loop`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from distillm2.cli.options import (
    MAX_TOKENS,
    TEMPERATURE,
    TOP_P,
    Concurrency,
    KeyVariable,
    MaxTokens,
    Temperature,
    TopP,
)
from distillm2.errors import DistillationError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

STEPS = {
    "sample": "sampling the student",
    "pair": "building the pairs",
    "cache": "caching the teacher",
    "train": "training",
}


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("loop")(loop)


def loop(
    config: Annotated[
        Path, typer.Argument(help="The training's YAML; its data set is replaced by each epoch's pairs.")
    ],
    teacher_responses: Annotated[
        Path, typer.Option("--teacher", help="The teacher's responses, written by distillm2 generate; they are kept.")
    ],
    epochs: Annotated[int | None, typer.Option(min=1, help="Default: num_train_epochs of the YAML.")] = None,
    endpoint: Annotated[
        str | None,
        typer.Option(
            help="A running vLLM that loads every epoch's adapter, such as http://127.0.0.1:8000/v1; "
            "started with --generation-config vllm, or it samples with the model's own top-k."
        ),
    ] = None,
    serve_command: Annotated[
        str | None,
        typer.Option(
            help="Starts a server for each sampling: 'vllm serve {model} --generation-config vllm --enable-lora "
            "--lora-modules {name}={adapter} --port {port}'. Default: distillm2 api."
        ),
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Default: output_dir of the YAML.")] = None,
    temperature: Temperature = TEMPERATURE,
    top_p: TopP = TOP_P,
    max_tokens: MaxTokens = MAX_TOKENS,
    concurrency: Concurrency = 16,
    api_key_env: KeyVariable = None,
) -> None:
    """Distil with student responses drawn anew before every epoch.

    Example: distillm2 loop x.yaml --teacher teacher.jsonl --epochs 3

    Repeat the same command to go on after an interruption.
    """
    from rich.console import Console

    from distillm2.cli.settings import read_file
    from distillm2.data.endpoint import Sampling, key_from_environment
    from distillm2.experiments.loop import LoopObserver, run_loop
    from distillm2.experiments.loop_epoch import Loop
    from distillm2.experiments.loop_server import ApiServer, CommandServer, HotLoading, StudentServer

    settings = read_file(config)
    folder = output or settings.get("output_dir")
    count = epochs if epochs is not None else settings.get("num_train_epochs")
    if folder is None:
        raise DistillationError("give --output, or output_dir in the YAML")
    if count is None or int(count) != count:
        raise DistillationError(f"num_train_epochs is {count!r}; give whole --epochs (the paper takes 2 or 3)")
    if endpoint and serve_command:
        raise DistillationError("--endpoint is a running server and --serve-command starts one: give one of them")
    server: StudentServer = ApiServer(settings)
    if endpoint:
        server = HotLoading(endpoint, key_from_environment(api_key_env, "OPENAI_API_KEY"))
    elif serve_command:
        server = CommandServer(serve_command)
    console = Console()
    plan = Loop(
        settings=settings,
        teacher_responses=teacher_responses,
        output=Path(folder),
        epochs=int(count),
        server=server,
        sampling=Sampling(temperature, top_p, max_tokens),
        concurrency=concurrency,
    )

    with _Steps(console) as bar:

        def started(epoch: int, step: str) -> None:
            console.print(f"epoch {epoch + 1}/{plan.epochs}: {STEPS[step]}", soft_wrap=True)
            if step == "train":
                bar.begin()

        def ended(epoch: int, step: str, counts: Mapping[str, Any]) -> None:
            bar.end()
            console.print(f"  {_summary(step, counts)}", soft_wrap=True, markup=False)

        final = run_loop(plan, LoopObserver(started, ended, bar.show, console))
    console.print(f"the student after {plan.epochs} epochs: {final}", soft_wrap=True)


class _Steps:
    """The bar of a training's steps; it is shown while one runs, since the sampling has a bar of its own."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.bar: Progress | None = None

    def __enter__(self) -> _Steps:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def begin(self) -> None:
        """Show it."""
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

        self.bar = Progress(BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=self.console)
        self.bar.add_task("steps", total=None)
        self.bar.start()

    def show(self, done: int, total: int) -> None:
        """Move it on."""
        if self.bar is not None:
            self.bar.update(self.bar.task_ids[0], completed=done, total=total or None)

    def end(self) -> None:
        """Take it away."""
        if self.bar is not None:
            self.bar.stop()
            self.bar = None


def _summary(step: str, counts: Mapping[str, Any]) -> str:
    if step == "sample":
        missing = counts["wanted"] - counts["done"]
        failed = f", {missing} prompts without one (left out)" if missing else ""
        return f"{counts['done']} responses, {counts['truncated']} cut at the limit, {counts['empty']} empty{failed}"
    if step == "pair":
        dropped = ", ".join(f"{number} {reason}" for reason, number in counts["dropped"].items()) or "none"
        kept = ", ".join(f"{number} {name}" for name, number in counts["splits"].items())
        return "\n  ".join([f"{kept}; dropped: {dropped}", *counts["warnings"]])
    if step == "train":
        return ", ".join(f"{name} {value:.5g}" for name, value in counts["metrics"].items())
    return str(counts["folder"])
