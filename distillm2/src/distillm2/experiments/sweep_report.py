"""A sweep's outcome for people: the table of its trials, a plot, and one row per trial as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distillm2.experiments.sweep_space import Choices, Range
from distillm2.experiments.sweep_study import Sweep, completed_trials, ended_trials

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from optuna import Study
    from rich.table import Table

COLUMNS = 3


def write_trials(study: Study, path: Path) -> None:
    """One JSON object a line for every trial that ended: number, parameters, value, metrics, adapter or failure."""
    rows = [
        {
            "number": trial.number,
            "parameters": trial.params,
            "value": trial.values and trial.values[0],
            **trial.user_attrs,
        }
        for trial in ended_trials(study)
    ]
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def trial_table(sweep: Sweep, study: Study) -> Table:
    """Trials sorted by the metric, best first; failed ones last with the last line of their log."""
    from rich.table import Table

    table = Table(title=f"{study.study_name}: {sweep.metric}, {'higher' if sweep.maximize else 'lower'} is better")
    for title in ("trial", sweep.metric, *(name.removeprefix("distill_") for name in sweep.space), "seconds", ""):
        table.add_column(title, justify="left" if title == "" else "right", overflow="fold")
    completed = completed_trials(study)
    for trial in completed:
        note, style = ("best", "bold green") if trial is completed[0] else ("", "")
        value = f"{trial.values[0]:.5g}"
        table.add_row(*_cells(trial.number, value, sweep, trial.params, trial.user_attrs, note), style=style)
    for trial in ended_trials(study):
        if trial.values is None:
            note = str(trial.user_attrs["failure"]).splitlines()[-1]
            table.add_row(*_cells(trial.number, "failed", sweep, trial.params, trial.user_attrs, note), style="red")
    return table


def plot(sweep: Sweep, study: Study, path: Path) -> None:
    """Write a PNG: the value of each trial with the best so far, and the value against each argument."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    completed = sorted(completed_trials(study), key=lambda trial: trial.number)
    numbers, values = [trial.number for trial in completed], [trial.values[0] for trial in completed]
    better = max if sweep.maximize else min
    panels = 1 + len(sweep.space)
    rows = -(-panels // COLUMNS)
    figure = Figure(figsize=(4.2 * min(panels, COLUMNS), 3.4 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    axes = list(figure.subplots(rows, min(panels, COLUMNS), squeeze=False).flat)
    axes[0].plot(numbers, values, "o", label="trial")
    axes[0].step(numbers, [better(values[: i + 1]) for i in range(len(values))], where="post", label="best so far")
    axes[0].set(xlabel="trial", ylabel=sweep.metric)
    axes[0].legend()
    axes[0].xaxis.set_major_locator(MaxNLocator(integer=True))
    for axis, (name, entry) in zip(axes[1:], sweep.space.items(), strict=False):
        _slice(axis, entry, [trial.params[name] for trial in completed], values)
        axis.set(xlabel=name, ylabel=sweep.metric)
    for axis in axes[panels:]:
        axis.set_visible(False)
    figure.suptitle(f"{study.study_name}: {len(completed)} trials")
    figure.savefig(path, dpi=120)


def _slice(axis: Axes, entry: Range | Choices, points: list[Any], values: list[float]) -> None:
    if isinstance(entry, Choices):
        labels = [str(value) for value in entry.values]
        axis.plot([labels.index(str(point)) for point in points], values, "o")
        axis.set_xticks(range(len(labels)), labels)
        axis.set_xlim(-0.5, len(labels) - 0.5)
        return
    axis.plot(points, values, "o")
    if entry.log:
        ticks = [entry.low * (entry.high / entry.low) ** (part / 3) for part in range(4)]
        axis.set_xscale("log")
        axis.set_xticks(ticks, [f"{tick:.2g}" for tick in ticks])
        axis.minorticks_off()


def _cells(
    number: int, value: str, sweep: Sweep, parameters: dict[str, Any], about: dict[str, Any], note: str
) -> list[str]:
    shown = [f"{p:.4g}" if isinstance(p, float) else str(p) for p in (parameters.get(name, "") for name in sweep.space)]
    return [str(number), value, *shown, str(about.get("seconds", "")), note]
