"""``llmflow graph``: look at the entities and relations found in documents, or make them anew."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from llmflow.cli.output import notices, print_json, printable, progress_bar, results
from llmflow.cli.session import Departments, Json, Session, Tenant

app = typer.Typer(help="Entities and relations found in the documents.", no_args_is_help=True)


@app.command()
def show(
    entity: Annotated[str, typer.Argument(help="A name; case, spaces and punctuation make no difference.")],
    hops: Annotated[int, typer.Option(min=1, max=2, help="Relations from the entity to what is shown.")] = 1,
    limit: Annotated[int, typer.Option(min=1, help="Rows of each table at most.")] = 20,
    tenant: Tenant = None,
    department: Departments = None,
    as_json: Json = False,
) -> None:
    """Show where an entity occurs and how it relates to others. Works beside a running server.

    Examples:
      llmflow graph show "근로기준법 제60조"
      llmflow graph show 연차휴가 --hops 2
    """
    from llmflow.cli.render_graph import print_neighbourhood
    from llmflow.stores.graph import open_graph

    session = Session(tenant, department)
    graph = open_graph(session.settings, read_only=True)
    try:
        found = graph.neighbourhood(session.scope, entity, hops, limit)
    finally:
        graph.close()
    if as_json:
        print_json(found)
    else:
        print_neighbourhood(results(), found)


@app.command()
def rebuild(as_json: Json = False) -> None:
    """Make the graph anew of the stored passages of everybody; nothing is parsed again.

    Needed after a change of graph.extraction or graph.uri, and for documents with a warning that
    they are not in the graph.

    Example:
      llmflow graph rebuild
    """
    started = time.perf_counter()
    with Session().runtime() as runtime, progress_bar() as bar:
        documents, warnings = runtime.rebuild_graph(lambda done, total: bar("find entities", done, total))
    seconds = time.perf_counter() - started
    if as_json:
        print_json({"documents": documents, "warnings": warnings, "seconds": round(seconds, 3)})
        return
    for document_id, missing in warnings.items():
        for warning in missing:
            notices().print(f"{document_id[:8]}  {printable(warning)}", soft_wrap=True)
    results().print(f"{documents:,} documents in {seconds:.1f} s")
