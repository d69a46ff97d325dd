"""The Langfuse SDK as a sender of observations and scores; loading it takes most of a second."""

from __future__ import annotations

import base64
import uuid

import httpx
from langfuse import Langfuse
from opentelemetry.sdk.trace import TracerProvider

_INTERVAL_S = 1.0
_REQUEST_TIMEOUT_S = 3


def connect(server: str, public_key: str, secret_key: str, provider: TracerProvider) -> Langfuse:
    """A client that sends what ``provider`` makes to the Langfuse server at the URL ``server``."""
    keys = (public_key, secret_key)
    return Langfuse(
        # The SDK keeps one client per public key and process, settings and all. A name of our own keeps
        # this one apart from any other; the server sees the real keys, in the headers.
        public_key=f"llmflow-{uuid.uuid4().hex}",
        secret_key=secret_key,
        base_url=server,
        timeout=_REQUEST_TIMEOUT_S,
        flush_interval=_INTERVAL_S,
        tracer_provider=provider,
        # Spans the SDK made would name its public key, and servers refuse those with another than the headers'.
        should_export_span=lambda span: True,
        httpx_client=httpx.Client(auth=keys, timeout=_REQUEST_TIMEOUT_S),
        additional_headers={
            "Authorization": "Basic " + base64.b64encode(":".join(keys).encode()).decode(),
            "x-langfuse-public-key": public_key,
        },
    )
