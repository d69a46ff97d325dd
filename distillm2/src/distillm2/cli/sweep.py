"""``distillm2 sweep``: the command around :mod:`distillm2.experiments.sweep`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from distillm2.errors import DistillationError

if TYPE_CHECKING:
    from distillm2.experiments.sweep_space import Choices, Range


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("sweep")(sweep)


def sweep(
    config: Annotated[Path, typer.Argument(help="The training's YAML; it needs val_size or eval_dataset.")],
    space: Annotated[
        Path | None,
        typer.Option(help="YAML of further arguments; each is a list of values or {low: .., high: .., log: true}."),
    ] = None,
    alpha: Annotated[tuple[float, float] | None, typer.Option(help="Range of distill_alpha.")] = None,
    beta: Annotated[
        str | None, typer.Option(help="distill_beta_schedule, comma-separated, such as fixed,paper.")
    ] = None,
    temperature: Annotated[
        tuple[float, float] | None, typer.Option(help="Range of distill_temperature (log scale).")
    ] = None,
    lr: Annotated[tuple[float, float] | None, typer.Option(help="Range of learning_rate (log scale).")] = None,
    trials: Annotated[int, typer.Option(help="Trials in all, those of an earlier call included.")] = 20,
    metric: Annotated[
        str | None,
        typer.Option(help="A figure of all_results.json. Default: eval_kl, which no swept argument redefines."),
    ] = None,
    maximize: Annotated[bool, typer.Option(help="Higher is better.")] = False,
    sampler: Annotated[Literal["tpe", "random", "grid"], typer.Option(help="How values are chosen.")] = "tpe",
    storage: Annotated[str | None, typer.Option(help="Optuna's store. Default: sqlite in the output folder.")] = None,
    output: Annotated[Path | None, typer.Option(help="Default: sweeps/<name of the YAML>.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the sampler.")] = 0,
) -> None:
    """Search training arguments; every trial is a real training.

    Example: distillm2 sweep x.yaml --alpha 0.05 0.2 --beta fixed,paper --lr 1e-5 1e-4 --trials 20

    Repeat the same command to go on after an interruption, or with more --trials to add some.
    """
    from rich.console import Console

    from distillm2.cli.settings import read_file
    from distillm2.experiments.sweep import check_sweep, run_sweep
    from distillm2.experiments.sweep_metric import DEFAULT_METRIC
    from distillm2.experiments.sweep_report import plot, trial_table, write_trials
    from distillm2.experiments.sweep_space import make_choices, make_range, read_space
    from distillm2.experiments.sweep_study import Sweep, completed_trials

    console = Console()
    searched: dict[str, Range | Choices] = read_space(space) if space else {}
    ranges = {"distill_alpha": alpha, "distill_temperature": temperature, "learning_rate": lr}
    for name, ends in ranges.items():
        if ends is not None:
            _once(name, searched)
            searched[name] = make_range(name, *ends)
    if beta is not None:
        _once("distill_beta_schedule", searched)
        searched["distill_beta_schedule"] = make_choices("distill_beta_schedule", beta)
    plan = Sweep(
        settings=read_file(config),
        space=searched,
        output=output or Path("sweeps") / config.stem,
        trials=trials,
        metric=metric or DEFAULT_METRIC,
        maximize=maximize,
        sampler=sampler,
        storage=storage,
        seed=seed,
    )
    warning = check_sweep(plan)
    if warning:
        console.print(f"[yellow]{warning}[/yellow]")
    with _Progress(console, plan.metric, plan.trials) as progress:
        study = run_sweep(plan, progress.observer())
    write_trials(study, plan.output / "trials.jsonl")
    plot(plan, study, plan.output / "sweep.png")
    best = completed_trials(study)[0]
    console.print(trial_table(plan, study))
    console.print(f"best {plan.metric}: {best.values[0]:.6g} (trial {best.number})", soft_wrap=True)
    console.print(f"best adapter: {best.user_attrs['adapter']}", soft_wrap=True)
    console.print(f"train it again: distillm2 train {plan.output / 'best.yaml'}", soft_wrap=True)
    console.print(f"plot: {plan.output / 'sweep.png'}; trials: {plan.output / 'trials.jsonl'}", soft_wrap=True)


class _Progress:
    """Shows the trials done, the best value, and the running trial's steps."""

    def __init__(self, console: Any, metric: str, trials: int) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        self.console, self.metric = console, metric
        self.bar = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console
        )
        self.all = self.bar.add_task("trials", total=trials)
        self.one = self.bar.add_task("steps", total=None)

    def __enter__(self) -> _Progress:
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def observer(self) -> Any:
        """The callbacks of :func:`run_sweep`."""
        from distillm2.experiments.sweep import Observer

        return Observer(self._started, self._step, self._ended)

    def _started(self, number: int, parameters: Mapping[str, Any]) -> None:
        shown = ", ".join(f"{k}={v:.4g}" if isinstance(v, float) else f"{k}={v}" for k, v in parameters.items())
        self.console.print(f"trial {number}: {shown}", soft_wrap=True)
        self.bar.reset(self.one, description=f"trial {number}", total=None)

    def _step(self, done: int, total: int) -> None:
        self.bar.update(self.one, completed=done, total=total or None)

    def _ended(self, number: int, value: float | None, failure: str | None) -> None:
        self.bar.advance(self.all)
        if failure is None:
            self.console.print(f"trial {number}: {self.metric} {value:.6g}", soft_wrap=True)
        else:
            self.console.print(f"trial {number} failed: {failure}", style="red", soft_wrap=True, markup=False)


def _once(name: str, searched: Mapping[str, object]) -> None:
    if name in searched:
        raise DistillationError(f"{name} is given twice: by its option and in --space")
