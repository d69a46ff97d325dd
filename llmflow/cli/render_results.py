"""Hits, stage tables and answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from llmflow.cli.output import printable
from llmflow.cli.render import SHORT_ID, table
from llmflow.cli.snippets import snippet
from llmflow.retrieval.fusion import FUSED
from llmflow.retrieval.head import CROSS_ENCODER, DIVERSIFY, RERANK
from llmflow.retrieval.legs import DENSE, GRAPH, LEXICAL, MEMORY, REFERENCE, SPARSE, SPREAD
from llmflow.schema import Answer, Candidate, Degradation, RetrievalResult

_LEGS = (*LEXICAL, DENSE, SPARSE, GRAPH, SPREAD, MEMORY, REFERENCE)
_STAGES = (*_LEGS, FUSED, CROSS_ENCODER, RERANK, DIVERSIFY)
_MAX_QUOTE = 200


def print_hits(console: Console, result: RetrievalResult) -> None:
    """A row for each hit: rank, score, file, page, section, and the piece that matches."""
    if not result.candidates:
        console.print("nothing found; `--threshold 0` shows what is there all the same")
        return
    rows = table("#", "score", "file", "page", "passage", right=("#", "score", "page"), wide=("file", "passage"))
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
        headers = [stage.replace("_", "\n") for stage in stages]
        rows = table("#", "file", *headers, title="Rank (score) in every stage", wide=("file",))
        for rank, candidate in enumerate(result.candidates, 1):
            chunk = candidate.chunk
            place = _place(chunk.document_name, chunk.page)
            if chunk.section_path:
                place.append(f" › {printable(chunk.section_path[-1])}", style="dim")
            scores = {score.stage: f"{score.rank} ({_score(score.score)})" for score in candidate.stages}
            rows.add_row(str(rank), place, *(scores.get(stage, "–") for stage in stages))
        console.print(rows)
        _print_notes(console, result.candidates)
    else:
        console.print("no passage reached the threshold")
    legs = {name: result.timings_ms[name] for name in _LEGS if name in result.timings_ms}
    steps = {name: value for name, value in result.timings_ms.items() if name not in _LEGS}
    facts = Table.grid(padding=(0, 2))
    facts.add_row("retrieval", _times(steps))
    facts.add_row("legs", f"{_times(legs)}, in parallel")
    if result.trace_id:
        facts.add_row("trace", f"llmflow traces {result.trace_id[:SHORT_ID]}")
    console.print()
    console.print(facts)


def _print_notes(console: Console, candidates: Sequence[Candidate]) -> None:
    """What the stages say of the hits in words."""
    for rank, candidate in enumerate(candidates, 1):
        for note in candidate.notes:
            console.print(Text(f"{rank}  {note.stage}: {printable(note.text)}", style="dim"))


def print_answer(console: Console, answer: Answer) -> None:
    """The answer with its evidence."""
    console.print(printable(answer.text), style="bold")
    print_evidence(console, answer)


def print_evidence(console: Console, answer: Answer) -> None:
    """What stands below an answer: citations, how it was made, and what to be wary of."""
    quotes = Table.grid(padding=(0, 1))
    quotes.add_column(no_wrap=True)
    quotes.add_column(overflow="fold")
    sources: dict[tuple[int, str, int | None], list[str]] = {}
    for citation in answer.citations:
        source = (citation.number, citation.document_name, citation.page)
        sources.setdefault(source, []).append(_quote(citation.quote))
    for (number, name, page), quoted in sources.items():
        quotes.add_row(f"[{number}]", _place(name, page, style="cyan").append(" " + " ".join(quoted), style="default"))
    if sources:
        console.print(quotes)
    console.print(f"{answer.mode}: {_times(answer.timings_ms)}", style="dim")
    for sentence in answer.unsupported:
        console.print(f"not borne out by the passage it cites: {printable(sentence)}", style="yellow")
    retrieval = answer.retrieval.degradations if answer.retrieval else ()
    print_degradations(console, (*retrieval, *answer.degradations))


def print_degradations(console: Console, degradations: Sequence[Degradation]) -> None:
    """What failed or was left out on the way."""
    for degradation in degradations:
        console.print(f"degraded: {degradation.stage}: {printable(degradation.reason)}", style="yellow")


def _stages(candidates: Sequence[Candidate]) -> list[str]:
    """Every stage any candidate passed, in the order of the pipeline."""
    passed = {score.stage for candidate in candidates for score in candidate.stages}
    return [stage for stage in _STAGES if stage in passed]


def _score(score: float) -> str:
    return f"{score:.3f}" if abs(score) < 1 else f"{score:.1f}"


def _place(name: str, page: int | None, style: str = "") -> Text:
    return Text(printable(name) + ("" if page is None else f" p.{page}"), style=style)


def _quote(text: str) -> str:
    flat = " ".join(printable(text).split())
    return f"“{flat if len(flat) <= _MAX_QUOTE else flat[:_MAX_QUOTE] + ' …'}”"


def _times(timings: Mapping[str, float]) -> str:
    return " · ".join(f"{stage} {value:.1f}" for stage, value in timings.items()) + " ms"
