"""``llmflow traces``."""

from __future__ import annotations

from typing import Annotated

import typer

from llmflow.cli.output import print_json, results
from llmflow.cli.session import Departments, Json, Session, Tenant


def traces(
    id: Annotated[str | None, typer.Argument(help="A trace's id or the start of it: show this one as a tree.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Traces at most, newest first.")] = 20,
    tenant: Tenant = None,
    department: Departments = None,
    as_json: Json = False,
) -> None:
    """List recent traces, or show one as a tree with times.

    Every search, answer, ingestion and training leaves a trace on this
    machine; with Langfuse keys set (tracing.public_key, tracing.secret_key) on
    that server as well. Shown are those of the tenant that were made for none
    but the departments.

    Examples:
      llmflow traces
      llmflow traces 5b1f
    """
    from llmflow.cli.render_traces import print_trace, print_traces

    session = Session(tenant, department)
    with session.runtime() as runtime:
        if id is None:
            recent = runtime.traces.recent(session.scope, limit)
            if as_json:
                print_json({"traces": recent})
            else:
                print_traces(results(), recent)
            return
        trace = runtime.traces.get(session.scope, id)
    if as_json:
        print_json(trace)
    else:
        print_trace(results(), trace)
