"""The prompts that LLMFlow puts before its LLM, for a teacher to answer and a student to learn from.

    python -m evaluation.answer_prompts questions.jsonl prompts.jsonl

Each line of ``questions.jsonl`` is ``{"question": ...}``. It is searched for in the documents ingested here, and
written with its passages, its rules and its language as the server would send it: ``{"system", "instruction",
"input"}``, which `distillm2 generate` reads. Questions that find nothing are left out: LLMFlow answers those without
asking the LLM.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import track

from evaluation.rerank_pairs import read_questions
from evaluation.tables import Table
from llmflow.cli.session import Session
from llmflow.errors import InvalidInputError, LLMFlowError
from llmflow.generation.prompt import build_messages
from llmflow.generation.window import Passage, choose_passages
from llmflow.schema import RetrievalResult


def prompt_of(
    question: str, result: RetrievalResult, context_tokens: int
) -> tuple[dict[str, str], tuple[Passage, ...]]:
    """The prompt as a row of LLaMA-Factory's alpaca form, and the passages in it.

    Args:
        context_tokens: as ``generation.context_tokens``.
    """
    passages = choose_passages(result.candidates, context_tokens)
    system, user = build_messages(question, result.query.language, passages, facts=result.facts)
    return {"system": system["content"], "instruction": user["content"], "input": ""}, passages


app = typer.Typer(add_completion=False)


@app.command()
def main(
    questions: Annotated[Path, typer.Argument(help="JSON lines of questions.")],
    out: Annotated[Path, typer.Argument(help="JSON lines to write.")],
    departments: Annotated[
        list[str] | None, typer.Option("--department", help="Whose documents are searched; default: the settings'.")
    ] = None,
) -> None:
    """Write the prompts of questions.

    Example: python -m evaluation.answer_prompts questions.jsonl build/prompts.jsonl
    """
    console = Console(width=120)
    try:
        session = Session(departments=departments)
        asked = [row["question"] for row in read_questions(questions)]
        rows = []
        with session.runtime() as runtime:
            for question in track(asked, "searching", console=Console(stderr=True), transient=True):
                result = runtime.search(session.scope, question)
                if result.candidates:
                    rows.append(prompt_of(question, result, session.settings.generation.context_tokens)[0])
        if not rows:
            raise InvalidInputError(f"none of the {len(asked)} questions of {questions} finds a passage; ingest first")
        out.parent.mkdir(parents=True, exist_ok=True)
        part = out.with_name(f"{out.name}.part")
        part.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
        part.replace(out)
    except LLMFlowError as error:
        console.print(f"error: {error.message}", style="red", soft_wrap=True)
        raise typer.Exit(1) from None
    counts = {"questions": len(asked), "prompts": len(rows), "left out: nothing found": len(asked) - len(rows)}
    cells = tuple((key, str(count)) for key, count in counts.items())
    console.print(Table(str(out), ("", "number"), cells).rich())


if __name__ == "__main__":
    app()
