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
    """One panel a figure: a bar a method, a dot a seed."""
    figure, panels = plt.subplots(1, len(TITLES), figsize=(15, 3.6), sharey=True)
    names = list(runs)[::-1]
    for panel, (field, title) in zip(panels, TITLES.items(), strict=True):
        values = [[getattr(score, field) for score in runs[name]] for name in names]
        means = [statistics.mean(row) for row in values]
        panel.barh(names, means, color="#7fa7c9")
        for position, row in enumerate(values):
            panel.plot(row, [position] * len(row), "k.", markersize=4)
        low, high = min(map(min, values)), max(map(max, values))
        panel.set_xlim(max(0.0, low - 0.5 * (high - low)), high + 0.1 * (high - low))
        panel.set_title(title, fontsize=9)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def _spread(values: list[float]) -> str:
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.4f} ± {deviation:.4f}"
