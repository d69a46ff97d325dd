"""Ingest the sample documents, ask questions, and show why the answers are what they are.

make demo
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from llmflow.cli.ingesting import run, train_if_due
from llmflow.cli.output import notices, printable, results, working
from llmflow.cli.render import print_documents, print_outcomes
from llmflow.cli.render_results import print_answer, print_stages
from llmflow.cli.session import Session, load
from llmflow.errors import LLMFlowError
from llmflow.pii.entities import PLACEHOLDER
from llmflow.runtime import Runtime
from llmflow.schema import Document, Scope

DOCUMENTS = Path(__file__).parent / "documents"
QUESTIONS = (
    ("Korean, answered by a table of a PDF", "근속연수가 5년 이상 7년 미만이면 연차일수는 며칠인가요?"),
    ("Korean", "재택근무를 국외에서도 할 수 있나요?"),
    ("The same nouns with other particles and endings", "국외에서의 재택근무가 가능한가요?"),
    ("An article, named by its number", "정보보안 규정 제12조에서 비밀번호는 몇 자 이상인가요?"),
    ("English", "How many days a week may I work from home?"),
    ("Not in the documents", "스톡옵션은 언제 행사할 수 있나요?"),
)
MASKED_LINES = 3


def main() -> int:
    """Run the demo; 0 if every document is ready."""
    try:
        return demo(results())
    except LLMFlowError as error:
        notices().print(f"error: {error.message}", style="red", soft_wrap=True)
        return 1


def demo(console: Console) -> int:
    """Ingest, show what was masked, ask, and say how to go on."""
    session = Session()
    with session.runtime() as runtime:
        heading(console, "Ingest")
        console.print("Loading the morphological analyser and the recognisers of personal data ...")
        with working("loading"):
            load(runtime)
        started = time.perf_counter()
        outcomes = run(runtime, session, [DOCUMENTS])
        print_outcomes(console, outcomes, time.perf_counter() - started)
        train_if_due(runtime)
        documents = [outcome.document for outcome in outcomes]
        console.print()
        print_documents(console, documents, len(documents))
        heading(console, "Masked before anything was stored")
        print_masked(console, runtime, session.scope, documents)
        for what, question in QUESTIONS:
            heading(console, what)
            answer = runtime.ask(session.scope, question)
            console.print(f"Q  {question}\n", style="bold")
            print_answer(console, answer)
            if answer.retrieval:
                print_stages(console, answer.retrieval)
    heading(console, "How to go on")
    console.print(how_to_go_on(session.settings.data_dir.absolute()), soft_wrap=True)
    return 0 if all(document.status == "ready" for document in documents) else 1


def heading(console: Console, title: str) -> None:
    """A title with air above it."""
    console.print()
    console.rule(title, align="left")
    console.print()


def print_masked(console: Console, runtime: Runtime, scope: Scope, documents: Sequence[Document]) -> None:
    """How often each kind of personal data was masked, and a few lines of text with it."""
    lines = [
        line
        for document in documents
        for chunk in runtime.vectors.chunks_of(scope, document.id)
        for line in chunk.text.splitlines()
    ]
    counts = Counter(match.group() for line in lines for match in PLACEHOLDER.finditer(line))
    console.print(", ".join(f"{kind} {count}" for kind, count in counts.most_common()))
    telling = sorted(dict.fromkeys(lines), key=lambda line: len(set(PLACEHOLDER.findall(line))), reverse=True)
    for line in telling[:MASKED_LINES]:
        console.print(f"e.g. {printable(line)}", no_wrap=True, overflow="ellipsis")


def how_to_go_on(data_dir: Path) -> str:
    """Commands to copy."""
    command = Path(sys.executable).with_name("llmflow")
    here = Path.cwd()
    name = (
        str(command.relative_to(here) if command.is_relative_to(here) else command) if command.exists() else "llmflow"
    )
    return f"""\
{name} ask "연차휴가는 다음 해로 며칠까지 넘길 수 있나요?" --explain
{name} search "expense limits" --top-k 10
{name} ingest FOLDER      # your own documents
{name} documents          # what is there
{name} traces             # every step of every question, with times
{name} doctor             # what is installed, and what is missing

With an LLM endpoint (OpenAI-compatible) answers are generated and checked against their passages:
export LLMFLOW_LLM__BASE_URL=http://localhost:8000/v1 LLMFLOW_LLM__MODEL=...

Everything is in {data_dir}; delete the folder to start anew."""


if __name__ == "__main__":
    sys.exit(main())
