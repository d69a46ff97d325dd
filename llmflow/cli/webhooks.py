"""``llmflow keys webhook-secret``."""

from __future__ import annotations

import typer

from llmflow.cli.output import notices, print_json
from llmflow.cli.session import Json, Session, Tenant


def webhook_secret(tenant: Tenant = None, as_json: Json = False) -> None:
    """Print the secret that a tenant's webhooks are signed with.

    It is made at first use and stays the same. The receiver verifies each call
    with it and a library of Standard Webhooks (standardwebhooks.com).

    Example:
      llmflow keys webhook-secret --tenant acme
    """
    from llmflow.stores.database import Database
    from llmflow.stores.webhooks import WebhookStore

    session = Session(tenant)
    database = Database(session.settings.database_url)
    try:
        secret = WebhookStore(database.engine).secret(session.scope.tenant)
    finally:
        database.close()
    if as_json:
        print_json({"tenant": session.scope.tenant, "webhook_secret": secret})
        return
    typer.echo(secret)
    notices().print("who has it can forge webhooks of this tenant: give it to their receiver only", soft_wrap=True)
