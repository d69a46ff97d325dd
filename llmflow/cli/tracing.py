"""``llmflow traces``."""

from __future__ import annotations

from typing import Annotated

import typer

from llmflow.cli.output import print_json, results
from llmflow.cli.session import Json, Session


def traces(
    id: Annotated[str | None, typer.Argument(help="A trace's id or the start of it: show this one as a tree.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Traces at most, newest first.")] = 20,
    as_json: Json = False,
) -> None:
    """List recent traces, or show one as a tree with times.

    Every search, answer, ingestion and training leaves a trace on this
    machine; with Langfuse keys set (tracing.public_key, tracing.secret_key) on
    that server as well.

    Examples:
      llmflow traces
      llmflow traces 5b1f
    """
    from llmflow.cli.render_traces import print_trace, print_traces

    with Session().runtime() as runtime:
        if id is None:
            recent = runtime.traces.recent(limit)
            if as_json:
                print_json({"traces": recent})
            else:
                print_traces(results(), recent)
            return
        trace = runtime.traces.get(id)
    if as_json:
        print_json(trace)
    else:
        print_trace(results(), trace)
