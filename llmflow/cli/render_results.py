"""Hits, stage tables and answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from llmflow.cli.output import printable
from llmflow.cli.render import SHORT_ID, table
from llmflow.cli.snippets import snippet
from llmflow.schema import Answer, Candidate, Degradation, RetrievalResult

_FINAL = "fused"
_MAX_QUOTE = 200


def print_hits(console: Console, result: RetrievalResult) -> None:
    """A row for each hit: rank, score, file, page, section, and the piece that matches."""
    if not result.candidates:
        console.print("nothing found; `--threshold 0` shows what is there all the same")
        return
    rows = table("#", "score", "file", "page", "passage", right=("#", "score", "page"))
    for rank, candidate in enumerate(result.candidates, 1):
        chunk = candidate.chunk
        passage = snippet(result.query.text, chunk.text)
        if section := " › ".join(printable(title) for title in chunk.section_path):
            passage = Text(f"{section}\n", style="dim").append_text(passage)
        page = "" if chunk.page is None else str(chunk.page)
        rows.add_row(str(rank), f"{candidate.score:.3f}", printable(chunk.document_name), page, passage)
    console.print(rows)


def print_stages(console: Console, result: RetrievalResult) -> None:
    """Rank and score of every hit in every stage, and the time each stage took."""
    stages = _stages(result.candidates)
    console.print()
    if stages:
        rows = table("#", "file", *(stage.replace("_", "\n") for stage in stages), title="Rank (score) in every stage")
        for rank, candidate in enumerate(result.candidates, 1):
            scores = {score.stage: f"{score.rank} ({_score(score.score)})" for score in candidate.stages}
            rows.add_row(str(rank), _place(candidate), *(scores.get(stage, "–") for stage in stages))
        console.print(rows)
        console.print()
    console.print(f"retrieval  {_times(result.timings_ms, within={'legs': stages})}")
    if result.trace_id:
        console.print(f"trace      llmflow traces {result.trace_id[:SHORT_ID]}")


def print_answer(console: Console, answer: Answer) -> None:
    """The answer with its evidence."""
    console.print(printable(answer.text), style="bold")
    print_evidence(console, answer)


def print_evidence(console: Console, answer: Answer) -> None:
    """What stands below an answer: citations, how it was made, and what to be wary of."""
    quotes = Table.grid(padding=(0, 1))
    quotes.add_column(no_wrap=True)
    quotes.add_column(overflow="fold")
    for citation in answer.citations:
        page = f" p.{citation.page}" if citation.page is not None else ""
        quote = " ".join(printable(citation.quote).split())
        shown = quote if len(quote) <= _MAX_QUOTE else quote[:_MAX_QUOTE] + " …"
        place = Text(f"{printable(citation.document_name)}{page}", style="cyan")
        quotes.add_row(f"[{citation.number}]", place.append(f" “{shown}”", style="default"))
    console.print(quotes)
    console.print(f"{answer.mode}  {_times(answer.timings_ms)}", style="dim")
    for sentence in answer.unsupported:
        console.print(f"not borne out by the passage it cites: {printable(sentence)}", style="yellow")
    retrieval = answer.retrieval.degradations if answer.retrieval else ()
    print_degradations(console, (*retrieval, *answer.degradations))


def print_degradations(console: Console, degradations: Sequence[Degradation]) -> None:
    """What failed or was left out on the way."""
    for degradation in degradations:
        console.print(f"degraded: {degradation.stage}: {printable(degradation.reason)}", style="yellow")


def _stages(candidates: Sequence[Candidate]) -> list[str]:
    """Every stage any candidate passed, the final one last."""
    found = dict.fromkeys(score.stage for candidate in candidates for score in candidate.stages)
    return sorted(found, key=lambda stage: stage == _FINAL)


def _score(score: float) -> str:
    return f"{score:.3f}" if abs(score) < 1 else f"{score:.1f}"


def _place(candidate: Candidate) -> str:
    page = candidate.chunk.page
    return printable(candidate.chunk.document_name) + ("" if page is None else f" p.{page}")


def _times(timings: Mapping[str, float], within: Mapping[str, Sequence[str]] | None = None) -> str:
    """Milliseconds by stage; stages that run side by side within another stand in brackets behind it."""
    within = within or {}
    inner = {name for names in within.values() for name in names}
    parts = []
    for stage, value in timings.items():
        if stage in inner:
            continue
        part = f"{stage} {value:.1f}"
        if names := [name for name in within.get(stage, ()) if name in timings]:
            part += " (" + ", ".join(f"{name} {timings[name]:.1f}" for name in names) + ")"
        parts.append(part)
    return " · ".join(parts) + " ms" if parts else ""
