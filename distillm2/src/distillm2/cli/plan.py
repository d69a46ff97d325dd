"""``distillm2 plan``: does a training fit, and what to change when it does not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from distillm2.experiments.plan import Plan


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("plan")(plan)


def plan(
    config: Annotated[Path, typer.Argument(help="YAML of a training: stage sft, pt, dpo or distillm2.")],
    overrides: Annotated[list[str] | None, typer.Argument(help="key=value, as for train.")] = None,
    gpu: Annotated[str, typer.Option(help="Memory of the GPU: 24GB, 22.5GiB, 8192MiB.")] = "24GB",
    gpus: Annotated[int, typer.Option(min=1, help="GPUs of a ZeRO-2 run; elsewhere each holds the same.")] = 1,
    explain: Annotated[bool, typer.Option("--explain", help="Show how each row is computed.")] = False,
) -> None:
    """Account for the memory of a training before it is started; exit status 1 when it does not fit.

    Example: distillm2 plan x.yaml cutoff_len=4096 --gpu 24GB --explain

    Models are read from their config.json (a folder or the local hub cache) or a table of well-known ones; nothing is
    downloaded and no GPU is needed.
    """
    from rich.console import Console

    from distillm2.cli.settings import read_file
    from distillm2.experiments.plan import make_plan, parse_memory
    from distillm2.experiments.plan_settings import settings_from

    memory = parse_memory(gpu)
    settings = settings_from(read_file(config, overrides or []), str(config))
    made = make_plan(settings, gpus)
    console = Console()
    _print_settings(console, made)
    _print_rows(console, made, memory, explain)
    if made.total > memory:
        _print_changes(console, made, memory, gpus)
        raise typer.Exit(1)


def _print_settings(console: Console, made: Plan) -> None:
    """What the plan is for, so that a misspelt key is seen."""
    use = made.settings
    parts = [f"stage {use.stage}", use.finetuning_type, f"{use.rows} x {use.cutoff_len:,} tokens", f"optim {use.optim}"]
    parts.append("no gradient checkpointing" if use.disable_gradient_checkpointing else "gradient checkpointing")
    teacher = use.teacher_cache or use.teacher_model or use.teacher_adapter
    learns = (
        f"{use.model_name_or_path} from {teacher}" if teacher and use.stage == "distillm2" else use.model_name_or_path
    )
    console.print(f"[bold]{learns}[/bold]", ", ".join(parts), sep="\n", highlight=False)


def _print_rows(console: Console, made: Plan, memory: int, explain: bool) -> None:
    from rich.table import Table

    from distillm2.experiments.plan import GIB

    table = Table(box=None, pad_edge=False)
    table.add_column("")
    table.add_column("GiB", justify="right")
    if explain:
        table.add_column("how", overflow="fold")
    for row in made.rows:
        inside = made.peak in row.moments or not row.moments
        name = row.name if inside else f"{row.name} (not at the peak)"
        cells = [name, f"{row.bytes / GIB:.2f}" if inside else f"({row.bytes / GIB:.2f})", row.formula]
        table.add_row(*cells[: 3 if explain else 2], style=None if inside else "dim")
    free = memory - made.total
    table.add_section()
    table.add_row(
        f"Total at the peak ({made.peak})", f"{made.total / GIB:.2f}", *([""] if explain else []), style="bold"
    )
    style = "green" if free >= 0 else "red"
    table.add_row("Free" if free >= 0 else "Missing", f"{abs(free) / GIB:.2f}", style=style)
    console.print(table)


def _print_changes(console: Console, made: Plan, memory: int, gpus: int) -> None:
    from rich.table import Table

    from distillm2.experiments.plan import GIB
    from distillm2.experiments.plan_advice import advise

    table = Table(
        title=f"It does not fit in {memory / GIB:g} GiB. What to change, least costly first:", title_justify="left"
    )
    for name in ("change", "costs", "GiB alone", "with those above"):
        table.add_column(name, justify="left" if name in ("change", "costs") else "right", overflow="fold")
    last = made.total
    for change in advise(made.settings, gpus):
        last = change.together
        sizes = (
            "-" if size is None else f"{'[green]' if size <= memory else ''}{size / GIB:.2f}"
            for size in (change.alone, change.together)
        )
        table.add_row(change.edit, change.cost, *sizes)
        if last <= memory:
            break
    console.print(table)
    if last > memory:
        console.print(f"All of them together leave {last / GIB:.2f} GiB: take a larger GPU or a smaller model.")
