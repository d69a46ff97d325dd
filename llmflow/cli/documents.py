"""``llmflow documents`` and ``llmflow delete``."""

from __future__ import annotations

from typing import Annotated

import typer

from llmflow.cli.output import notices, print_json, printable, progress_bar, results
from llmflow.cli.session import Departments, Json, Session, Tenant
from llmflow.errors import InvalidInputError
from llmflow.schema import DocumentStatus


def show(
    id: Annotated[str | None, typer.Argument(help="A document's id or the start of it: show this one in full.")] = None,
    status: Annotated[DocumentStatus | None, typer.Option(help="Only documents that stand there.")] = None,
    limit: Annotated[int, typer.Option(help="Rows at most, newest first.")] = 50,
    offset: Annotated[int, typer.Option(help="Rows to skip.")] = 0,
    tenant: Tenant = None,
    department: Departments = None,
    as_json: Json = False,
) -> None:
    """List documents, or show one with its ingestions.

    Examples:
      llmflow documents --status refused
      llmflow documents 3fa4
    """
    from llmflow.cli.render import print_document, print_documents

    session = Session(tenant, department)
    with session.runtime() as runtime:
        if id is None:
            page = runtime.database.documents(session.scope, status=status, limit=limit, offset=offset)
            if as_json:
                print_json({"documents": page.items, "total": page.total})
            else:
                print_documents(results(), page.items, page.total)
            return
        document = runtime.database.get(session.scope, id)
        jobs = runtime.database.jobs(session.scope, document.id)
    if as_json:
        print_json({"document": document, "jobs": jobs})
    else:
        print_document(results(), document, jobs)


def delete(
    ids: Annotated[list[str], typer.Argument(help="Ids of documents, or the start of them.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    tenant: Tenant = None,
    department: Departments = None,
    as_json: Json = False,
) -> int:
    """Delete documents: chunks, originals and rows.

    Nothing is deleted if one of the ids is wrong.

    Examples:
      llmflow delete 3fa4
      llmflow delete 3fa4 91cc --yes
    """
    if as_json and not yes:
        raise InvalidInputError("with --json nobody can be asked; add --yes", param="yes")
    session = Session(tenant, department)
    with session.runtime() as runtime:
        found = {document.id: document for document in (runtime.database.get(session.scope, id) for id in ids)}
        if not yes:
            for document in found.values():
                notices().print(f"{document.id[:8]}  {printable(document.name)}  {document.chunks_count} chunks")
            if not typer.confirm(f"Delete {len(found)} document(s)?", err=True):
                notices().print("nothing was deleted")
                return 1
        deleted = []
        with progress_bar() as bar:
            for id in found:
                deleted.append(runtime.delete(session.scope, id))
                bar("delete", len(deleted), len(found))
    if as_json:
        print_json({"deleted": deleted})
    else:
        for document in deleted:
            results().print(f"deleted {document.id[:8]}  {printable(document.name)}")
    return 0
