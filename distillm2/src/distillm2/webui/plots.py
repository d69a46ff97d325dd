"""One figure of small panels from the log of a run that may still be going on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distillm2.stage.callback import LOG_FILE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TOP_INCHES = 0.4  # LlamaBoard lays the plot's label over its upper left corner
LEGEND: dict[str, Any] = {"frameon": False, "borderaxespad": 0.2, "handlelength": 1.2, "columnspacing": 0.8}
DIVERGENCES = {  # on teacher responses, on student responses
    "distillm2": ("SKL", "SRKL"),
    "distillm": ("SRKL", "SRKL"),
    "kl": ("KL", "KL"),
    "rkl": ("RKL", "RKL"),
    "js": ("JS", "JS"),
}


@dataclass(frozen=True)
class Panel:
    """A title and its curves: key in the log -> name in the legend."""

    title: str
    curves: dict[str, str]


def panels(loss: str) -> tuple[Panel, ...]:
    """The panels of a run with the loss ``loss`` (a ``distill_loss`` argument)."""
    on_teacher, on_student = DIVERGENCES[loss]
    sides = ("teacher responses", "student responses")
    return (
        Panel("loss", {"loss": "training", "eval_loss": "evaluation"}),
        Panel("divergence", {"distill/skl": f"{on_teacher}, teacher", "distill/srkl": f"{on_student}, student"}),
        Panel("evaluation divergence", {"eval_kl": "KL, teacher", "eval_rkl": "RKL, student"}),
        Panel("alpha", {"distill/alpha_teacher": sides[0], "distill/alpha_student": sides[1]}),
        Panel("beta", {"distill/beta": "beta"}),
        Panel("gap", {"distill/gap_teacher": sides[0], "distill/gap_student": sides[1]}),
        Panel("cross-entropy", {"distill/sft": sides[0]}),
    )


def read_log(path: Path) -> tuple[list[dict[str, Any]], int]:
    """The rows of a JSON-lines file and the number of unreadable lines; a last line still being written is neither.

    A missing file has no rows.
    """
    if not path.exists():
        return [], 0
    rows, unreadable = [], 0
    text = path.read_text(encoding="utf-8", errors="replace")
    for line in text[: text.rfind("\n") + 1].splitlines():
        try:
            row = json.loads(line)
            rows.append({**row, "current_steps": int(row["current_steps"])})
        except (ValueError, TypeError, KeyError):
            unreadable += 1
    return rows, unreadable


def curve(rows: list[dict[str, Any]], key: str) -> tuple[list[int], list[float]]:
    """Steps and values of ``key``; where a step was logged twice (a resumed run) the later value holds."""
    points = {row["current_steps"]: float(row[key]) for row in rows if row.get(key) is not None}
    steps = sorted(points)
    return steps, [points[step] for step in steps]


def training_figure(output_dir: Path, loss: str) -> Figure | None:
    """The figure of the run in ``output_dir``, or None while nothing was logged."""
    from matplotlib.figure import Figure

    rows, unreadable = read_log(output_dir / LOG_FILE)
    drawn = []
    for panel in panels(loss):
        curves = {name: curve(rows, key) for key, name in panel.curves.items()}
        curves = {name: points for name, points in curves.items() if points[0]}
        if curves:
            drawn.append((panel.title, curves))
    if not drawn:
        return None
    height = 1.7 * len(drawn) + TOP_INCHES
    figure = Figure(figsize=(4.4, height), dpi=150)
    figure.set_layout_engine("constrained", rect=(0, 0, 1, 1 - TOP_INCHES / height))
    axes = figure.subplots(len(drawn), 1, sharex=True, squeeze=False)[:, 0]
    for axis, (title, curves) in zip(axes, drawn, strict=True):
        for name, (steps, values) in curves.items():
            axis.plot(steps, values, marker="." if len(steps) < 50 else None, linewidth=1.4, label=name)
        axis.set_title(title, loc="left", fontsize=11)
        axis.grid(alpha=0.3)
        if len(curves) > 1:
            axis.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=len(curves), fontsize=8.5, **LEGEND)
    axes[-1].xaxis.get_major_locator().set_params(integer=True)
    axes[-1].set_xlabel("step" if not unreadable else f"step (unreadable lines of the log, left out: {unreadable})")
    return figure
