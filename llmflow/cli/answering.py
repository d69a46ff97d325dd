"""``llmflow ask``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from llmflow.cli.output import notices, print_json, printable, results, working
from llmflow.cli.session import Departments, Explain, Json, Session, Tenant, TopK, load

if TYPE_CHECKING:
    from llmflow.generation.answer import AnswerEvent
    from llmflow.schema import Answer


def ask(
    question: Annotated[str, typer.Argument(help="A question in Korean or English.")],
    top_k: TopK = None,
    explain: Explain = False,
    tenant: Tenant = None,
    department: Departments = None,
    as_json: Json = False,
) -> None:
    """Answer a question from the documents, with citations.

    With an LLM endpoint (setting llm.base_url) the answer is generated, and
    every sentence checked against the passage it cites; without one it is
    quoted from the documents. Where they hold nothing, it says so.

    With --json: the answer, its citations and the retrieval result behind it.

    Examples:
      llmflow ask "5년 근속하면 연차가 며칠인가요?"
      llmflow ask "How much notice do I have to give?" --explain
    """
    from llmflow.cli.render_results import print_answer, print_evidence, print_stages

    session = Session(tenant, department)
    console = results()
    with session.runtime() as runtime:
        with working("loading"):
            load(runtime)
        if console.is_terminal and not as_json:
            answer = _stream(runtime.ask_streaming(session.scope, question, top_k))
            print_evidence(console, answer)
        else:
            answer = runtime.ask(session.scope, question, top_k)
            if as_json:
                print_json(answer)
                return
            print_answer(console, answer)
    if explain and answer.retrieval:
        print_stages(console, answer.retrieval)


def _stream(events: Iterable[AnswerEvent]) -> Answer:
    """Print the answer as it is made."""
    from llmflow.generation.answer import Discarded, Finished, TextDelta

    events = iter(events)
    with working("searching"):
        event = next(events)
    console = results()
    while not isinstance(event, Finished):
        match event:
            case TextDelta(text):
                console.print(printable(text), end="", soft_wrap=True)
            case Discarded(reason):
                console.print()
                notices().print(f"the text so far is void: {printable(reason)}", style="yellow")
        event = next(events)
    console.print()
    return event.answer
