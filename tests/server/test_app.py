"""What every request passes: ids, headers, limits and the one form of errors."""

from __future__ import annotations

import httpx


def test_health(client: httpx.Client) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    ready = client.get("/readyz")
    assert (ready.status_code, ready.json()["ready"]) == (200, True), ready.text
