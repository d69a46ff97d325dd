"""An entity of the graph as tables."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from llmflow.cli.output import printable
from llmflow.stores.graph import Neighbourhood


def print_neighbourhood(console: Console, found: Neighbourhood) -> None:
    """The entity's passages and relations; tables without rows are left out."""
    console.print(f"{printable(found.name)} ({', '.join(found.types)})")
    if found.about:
        table = Table("document", "chunk", "as", title="passages about it", title_justify="left")
        for row in found.about:
            table.add_row(printable(row["document_name"]), row["chunk"][:8], row["role"])
        console.print(table)
    if found.mentioned:
        table = Table("document", "chunk", "confidence", title="passages that mention it", title_justify="left")
        for row in found.mentioned:
            table.add_row(printable(row["document_name"]), row["chunk"][:8], f"{row['confidence']:.2f}")
        console.print(table)
    if found.relations:
        table = Table("hop", "subject", "relation", "object", "chunk", title="relations", title_justify="left")
        for row in found.relations:
            names = (printable(str(row[column])) for column in ("subject", "relation_type", "object"))
            table.add_row(str(row["hop"]), *names, row["chunk"][:8])
        console.print(table)
