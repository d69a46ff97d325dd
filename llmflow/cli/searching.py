"""``llmflow search``."""

from __future__ import annotations

from typing import Annotated

import typer

from llmflow.cli.output import print_json, results, working
from llmflow.cli.session import Departments, Explain, Json, Session, Tenant, TopK, load
from llmflow.schema import RerankMode


def search(
    question: Annotated[str, typer.Argument(help="What to look for: a question, words, or an article (제60조).")],
    top_k: TopK = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            help="Least score of a hit, 0 to 1; 0 lets everything pass.", show_default="setting retrieval.threshold"
        ),
    ] = None,
    rerank: Annotated[
        RerankMode | None,
        typer.Option(help="The only model to rerank with.", show_default="all that are configured"),
    ] = None,
    explain: Explain = False,
    tenant: Tenant = None,
    department: Departments = None,
    as_json: Json = False,
) -> None:
    """Find passages.

    With --json: the retrieval result, with rank and score of every hit in every stage.

    Examples:
      llmflow search "연차휴가 이월" --explain
      llmflow search "근로기준법 제60조" --top-k 10 --json
    """
    from llmflow.cli.render_results import print_degradations, print_hits, print_stages

    session = Session(tenant, department)
    with session.runtime() as runtime, working("searching"):
        load(runtime)
        result = runtime.search(session.scope, question, top_k, threshold, rerank=rerank, explain=explain)
    if as_json:
        print_json(result)
        return
    console = results()
    print_hits(console, result)
    if explain:
        print_stages(console, result)
    print_degradations(console, result.degradations)
