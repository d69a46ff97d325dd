"""``llmflow serve``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from llmflow.cli.output import notices
from llmflow.cli.session import Session

if TYPE_CHECKING:
    from llmflow.settings import Settings


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.", show_default="setting server.host")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.", show_default="setting server.port")] = None,
) -> None:
    """Serve the API and the page.

    Callers need a key: `llmflow keys create --role administrator`. Other
    commands go through the server while it runs. Interrupt to stop: requests
    and jobs in progress get server.drain_s seconds to end.

    Examples:
      llmflow serve
      llmflow serve --host 0.0.0.0 --port 80
    """
    from llmflow.server.serving import serve

    settings = _with(Session().settings, host, port)
    notices().print("loading", style="dim")
    serve(settings, lambda url: _welcome(settings, url))


def _with(settings: Settings, host: str | None, port: int | None) -> Settings:
    changed = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    # Through validation, as if it had been set.
    server = type(settings.server).model_validate(settings.server.model_dump() | changed)
    return settings.model_copy(update={"server": server})


def _welcome(settings: Settings, url: str) -> None:
    from llmflow.stores.database import Database
    from llmflow.stores.keys import KeyStore

    database = Database(settings.database_url)
    try:
        keys = KeyStore(database.engine).list(settings.tenant)
    finally:
        database.close()
    notices().print(f"the page and the API are at {url}", soft_wrap=True)
    if not keys and not settings.auth.issuer:
        notices().print("there is no key yet; make one: llmflow keys create --role administrator", soft_wrap=True)
