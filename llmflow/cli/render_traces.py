"""Traces as a table and as trees."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from llmflow.cli.output import printable
from llmflow.cli.render import SHORT_ID, moment, table
from llmflow.tracing import Trace, TraceNode, TraceSummary

_MAX_VALUE = 80
_MAX_INPUT = 32
_LEVEL_STYLES = {"WARNING": "yellow", "ERROR": "bold red"}


def print_traces(console: Console, traces: Sequence[TraceSummary]) -> None:
    """A row for each trace."""
    if not traces:
        console.print("no traces yet; every search, answer and ingestion leaves one")
        return
    rows = table("trace", "name", "input", "started", "ms", "steps", "errors", right=("ms", "steps", "errors"))
    for trace in traces:
        errors = Text(str(trace.errors), style="bold red" if trace.errors else "dim")
        times = (moment(trace.start), f"{trace.duration_ms:,.1f}", str(trace.observations))
        about = Text(printable(trace.input or ""))
        about.truncate(_MAX_INPUT, overflow="ellipsis")
        rows.add_row(trace.trace_id[:SHORT_ID], printable(trace.name), about, *times, errors)
    console.print(rows)


def print_trace(console: Console, trace: Trace) -> None:
    """A trace as a tree, each step with its duration and when it began after the start."""
    summary = trace.summary
    head = f"trace {summary.trace_id}  {moment(summary.start)}  {summary.duration_ms:,.1f} ms"
    tree = Tree(Text(head, style="bold"), guide_style="dim")
    for root in trace.roots:
        _grow(tree, root)
    console.print(tree)
    for score in trace.scores:
        console.print(f"score {printable(score.name)}: {score.value:g}")


def _grow(tree: Tree, node: TraceNode) -> None:
    label = Text.assemble(
        printable(node.name),
        (f"  {node.duration_ms:,.1f} ms", "green"),
        (f"  +{node.offset_ms:,.1f}", "dim"),
        ("" if node.kind == "span" else f"  {node.kind}", "dim"),
    )
    if node.level != "DEFAULT":
        label.append(
            f"  {node.level.lower()}: {printable(node.message or '')}", style=_LEVEL_STYLES.get(node.level, "")
        )
    for name, value in (("in", node.input), ("out", node.output), *node.metadata.items()):
        if value is not None:
            label.append(f"\n{name}: {_short(value)}", style="dim")
    branch = tree.add(label)
    for child in node.children:
        _grow(branch, child)


def _short(value: Any) -> str:
    text = printable(" ".join(str(value).split()))
    return text if len(text) <= _MAX_VALUE else text[:_MAX_VALUE] + " …"
