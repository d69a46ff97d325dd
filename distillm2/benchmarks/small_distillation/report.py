"""The table and the plot of all methods: means over seeds, and the spread between them."""

from __future__ import annotations

import statistics
from dataclasses import fields
from pathlib import Path

import matplotlib
from measurement import Score
from rich.console import Console
from rich.table import Table

matplotlib.use("agg")
import matplotlib.pyplot as plt

TITLES = {
    "kl": "KL(teacher || student),\nteacher responses, nats/byte",
    "own_rkl": "KL(student || teacher),\nown responses, nats/byte",
    "text_nll": "cross-entropy,\nreal text, nats/byte",
    "rouge_l": "ROUGE-L against\nteacher, 0-100",
}


def show(runs: dict[str, list[Score]], console: Console) -> None:
    """Mean ± standard deviation over the seeds."""
    table = Table("method", "seeds", *TITLES.values())
    for name, scores in runs.items():
        cells = [_spread([getattr(score, field.name) for score in scores]) for field in fields(Score)]
        table.add_row(name, str(len(scores)), *cells)
    console.print(table)


def write_plot(runs: dict[str, list[Score]], path: Path) -> None:
    """One panel a figure: a dot a seed, a bar at their mean."""
    figure, panels = plt.subplots(1, len(TITLES), figsize=(13, 3.4), sharey=True)
    names = list(runs)[::-1]
    for panel, (field, title) in zip(panels, TITLES.items(), strict=True):
        for position, name in enumerate(names):
            values = [getattr(score, field) for score in runs[name]]
            panel.plot(values, [position] * len(values), "o", color="#7fa7c9", markersize=5)
            panel.plot(statistics.mean(values), position, "k|", markersize=14, markeredgewidth=2)
        panel.set_yticks(range(len(names)), names)
        panel.grid(axis="x", alpha=0.3)
        panel.set_title(title, fontsize=9)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def _spread(values: list[float]) -> str:
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.4f} ± {deviation:.4f}"
