"""``llmflow keys``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from llmflow.cli.output import notices, print_json, printable, results
from llmflow.cli.session import Json, Session, Tenant
from llmflow.cli.webhooks import webhook_secret
from llmflow.schema import ApiKey, Role

if TYPE_CHECKING:
    from llmflow.stores.keys import KeyStore

app = typer.Typer(help="Keys of the HTTP API: make, list and revoke them.", no_args_is_help=True)


@app.command()
def create(
    tenant: Tenant = None,
    departments: Annotated[
        str | None,
        typer.Option(help="Departments it may read, separated by commas.", show_default="setting department"),
    ] = None,
    role: Annotated[
        Role, typer.Option(help="A reader asks; an editor also adds and deletes documents; an administrator sees all.")
    ] = Role.READER,
    name: Annotated[str | None, typer.Option(help="What it is for, to know it by in the list.")] = None,
    expires_days: Annotated[
        int | None, typer.Option(min=1, max=36_500, help="Days until it expires.", show_default="never")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a key and print it, this once: only a hash of it is kept.

    Examples:
      llmflow keys create --departments hr,it --role editor --name "Dify" --expires-days 365
      KEY=$(llmflow keys create)
    """
    session = Session(tenant)
    named = [part.strip() for part in departments.split(",")] if departments else [session.settings.department]
    with _store(session) as keys:
        text, key = keys.create(
            session.scope.tenant, named, role, name, None if expires_days is None else timedelta(days=expires_days)
        )
    if as_json:
        print_json({"key": text, **asdict(key)})
    else:
        typer.echo(text)
    notices().print(
        f"keep it now: it is shown this once. {key.role} of {printable(key.tenant)} in "
        f"{printable(', '.join(key.departments))}, {_end(key)}; revoke it with `llmflow keys revoke {key.id}`",
        soft_wrap=True,
    )


@app.command("list")
def show(tenant: Tenant = None, as_json: Json = False) -> None:
    """List the keys of a tenant, newest first.

    Example:
      llmflow keys list --tenant acme
    """
    session = Session(tenant)
    with _store(session) as keys:
        found = keys.list(session.scope.tenant)
    if as_json:
        print_json({"keys": found})
        return
    from rich.table import Table

    table = Table("id", "name", "role", "departments", "made", "last used", "state", box=None, pad_edge=False)
    for key in found:
        used = "never" if key.last_used_at is None else f"{key.last_used_at:%Y-%m-%d %H:%M}"
        departments = ", ".join(key.departments)
        row = (key.id, key.name or "", key.role, departments, f"{key.created_at:%Y-%m-%d}", used, _end(key))
        table.add_row(*(printable(cell) for cell in row))
    results().print(
        table if found else f"no keys of {printable(session.scope.tenant)}; `llmflow keys create` makes one"
    )


@app.command()
def revoke(
    id: Annotated[str, typer.Argument(help="The key's id, or the start of it.")],
    tenant: Tenant = None,
    as_json: Json = False,
) -> None:
    """Make a key useless at once.

    Example:
      llmflow keys revoke 3fa4
    """
    session = Session(tenant)
    with _store(session) as keys:
        key = keys.revoke(session.scope.tenant, id)
    if as_json:
        print_json({"revoked": key})
    else:
        results().print(f"revoked {key.id}  {printable(key.name or '')}".rstrip())


app.command("webhook-secret")(webhook_secret)


@contextmanager
def _store(session: Session) -> Iterator[KeyStore]:
    """The keys alone: a server may hold the other stores meanwhile."""
    from llmflow.stores.database import Database
    from llmflow.stores.keys import KeyStore

    database = Database(session.settings.database_url)
    try:
        yield KeyStore(database.engine)
    finally:
        database.close()


def _end(key: ApiKey) -> str:
    if key.revoked_at is not None:
        return f"revoked {key.revoked_at:%Y-%m-%d}"
    if key.expires_at is None:
        return "never expires"
    return f"{'expired' if key.expires_at <= datetime.now(UTC) else 'expires'} {key.expires_at:%Y-%m-%d}"
