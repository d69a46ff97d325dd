"""``llmflow feedback``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llmflow.cli.output import notices, print_json, printable, progress_bar, results
from llmflow.cli.session import Departments, Json, Session, Tenant
from llmflow.errors import InvalidInputError

if TYPE_CHECKING:
    from llmflow.runtime import Runtime
    from llmflow.schema import Scope
    from llmflow.stores.memory import Accepted

_SHOWN_MISTAKES = 10
_PAGE = 500

app = typer.Typer(
    help="Passages that were right for past questions: import, list and forget them.", no_args_is_help=True
)


@app.command("import")
def import_(
    source: Annotated[
        Path,
        typer.Argument(
            help='JSON lines {"question": TEXT, "documents": [NAME or ID, ...]}, or a BEIR folder whose documents\''
            " ids are the names of yours."
        ),
    ],
    split: Annotated[str, typer.Option(help="Whose judgements, of a BEIR folder.")] = "train",
    tenant: Tenant = None,
    departments: Departments = None,
    as_json: Json = False,
) -> None:
    """Remember judged questions with the documents that answer them.

    Personal data in questions is masked. A line that cannot be used is named and the others are
    imported; importing the same file again changes nothing.

    Examples:
      llmflow feedback import judged.jsonl
      llmflow feedback import data/ours --split train
    """
    from llmflow.stores.memory import Origin

    session = Session(tenant, departments)
    mistakes: list[str] = []
    questions = kept = 0
    with _runtime(session) as runtime, progress_bar() as show:
        known = _Documents(runtime, session.scope)
        lines = list(_judged(source, split, mistakes))
        for number, (where, question, names) in enumerate(lines, 1):
            accepted = []
            for name in names:
                found = known.get(name)
                if found is None:
                    mistakes.append(f"{where}: no document {name!r}")
                else:
                    accepted.append(found)
            if accepted:
                try:
                    kept += len(runtime.remember(session.scope, question, accepted, Origin.GOLD))
                    questions += 1
                except InvalidInputError as error:
                    mistakes.append(f"{where}: {error.message}")
            show("remember", number, len(lines))
    for mistake in mistakes[:_SHOWN_MISTAKES]:
        notices().print(printable(mistake), soft_wrap=True)
    if len(mistakes) > _SHOWN_MISTAKES:
        notices().print(f"... and {len(mistakes) - _SHOWN_MISTAKES} more")
    if as_json:
        print_json({"questions": questions, "passages": kept, "mistakes": mistakes})
    else:
        results().print(f"remembered {questions:,} questions with {kept:,} documents; {len(mistakes)} mistakes")
    if mistakes:
        raise typer.Exit(1)


@app.command("list")
def show(
    limit: Annotated[int, typer.Option(min=1, help="Memories at most.")] = 20,
    tenant: Tenant = None,
    departments: Departments = None,
    as_json: Json = False,
) -> None:
    """List what is remembered, newest first.

    Example:
      llmflow feedback list --limit 100
    """
    session = Session(tenant, departments)
    with _runtime(session) as runtime:
        page = runtime.memories.list(session.scope, limit)
    if as_json:
        print_json({"memories": page.items, "total": page.total})
        return
    from rich.table import Column, Table

    # The id is what `forget` takes, so that it must not be cut.
    whole = Column("id", no_wrap=True, min_width=32)
    table = Table(whole, "question", "document", "origin", "by", "made", box=None, pad_edge=False)
    for one in page.items:
        row = (one.id, one.question, one.document_id[:8], one.origin, one.subject or "", f"{one.created_at:%Y-%m-%d}")
        table.add_row(*(printable(cell) for cell in row))
    results().print(
        table if page.items else "nothing is remembered; `llmflow feedback import` remembers judged questions"
    )
    if page.total > len(page.items):
        results().print(f"{page.total:,} in all; --limit shows more")


@app.command()
def forget(
    id: Annotated[str | None, typer.Argument(help="The memory's id.")] = None,
    subject: Annotated[str | None, typer.Option(help="Forget all of this user, e.g. key:0123456789abcdef.")] = None,
    document: Annotated[str | None, typer.Option(help="Forget all of this document: its id.")] = None,
    imported: Annotated[bool, typer.Option("--imported", help="Forget all that was imported.")] = False,
    tenant: Tenant = None,
    departments: Departments = None,
    as_json: Json = False,
) -> None:
    """Forget one memory, or all of a user, of a document or of imports.

    Examples:
      llmflow feedback forget 9a1f3c5e7b2d4f6081a3c5e7092b4d6f
      llmflow feedback forget --subject key:0123456789abcdef
    """
    from llmflow.stores.memory import Origin

    if (id is not None) == bool(subject or document or imported):
        raise InvalidInputError(
            "name one memory's id, or what to forget: --subject, --document or --imported", param="id"
        )
    session = Session(tenant, departments)
    with _runtime(session) as runtime:
        if id is not None:
            runtime.memories.forget(session.scope, id)
            count = 1
        else:
            origin = Origin.GOLD if imported else None
            count = runtime.memories.forget_all(session.scope, subject=subject, document_id=document, origin=origin)
    if as_json:
        print_json({"forgotten": count})
    else:
        results().print(f"forgot {count:,}")


@contextmanager
def _runtime(session: Session) -> Iterator[Runtime]:
    """The database alone is used: a server may hold the other stores meanwhile."""
    from llmflow.runtime import Runtime

    with Runtime(session.settings, owner=False) as runtime:
        yield runtime


class _Documents:
    """A scope's documents by name and by id."""

    def __init__(self, runtime: Runtime, scope: Scope) -> None:
        from llmflow.stores.memory import Accepted

        self._found: dict[str, Accepted] = {}
        offset = 0
        while page := runtime.database.documents(scope, limit=_PAGE, offset=offset).items:
            for document in page:
                one = Accepted(document.id)
                # Of several with the same name the newest counts, as it is listed first.
                self._found.setdefault(document.name, one)
                self._found.setdefault(Path(document.name).stem, one)
                self._found[document.id] = one
            offset += len(page)

    def get(self, name: str) -> Accepted | None:
        return self._found.get(name)


def _judged(source: Path, split: str, mistakes: list[str]) -> Iterator[tuple[str, str, list[str]]]:
    """(where it stands, question, names of documents) of each line; bad lines go to ``mistakes``."""
    if source.is_dir():
        from evaluation.beir import load

        data = load(source, split)
        for query, text in data.queries.items():
            names = [document for document, grade in data.qrels[query].items() if grade > 0]
            yield f"question {query}", text, names
        return
    try:
        lines = source.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInputError(
            f"{source} cannot be read: {error}; name a file of JSON lines or a BEIR folder", param="source"
        ) from None
    for number, line in enumerate(lines, 1):
        where = f"{source} line {number}"
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            mistakes.append(f"{where}: no JSON ({error})")
            continue
        match row:
            case {"question": str(question), "documents": [*names]} if (
                question.strip() and names and all(isinstance(name, str) for name in names)
            ):
                yield where, question, names
            case _:
                mistakes.append(f'{where}: not of the form {{"question": TEXT, "documents": [NAME or ID, ...]}}')
