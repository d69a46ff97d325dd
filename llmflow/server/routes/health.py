"""For who watches the server: it lives, it can serve, and in numbers what it does."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import logging
import time
from collections.abc import Callable, Mapping
from typing import Literal

import httpx
from fastapi import APIRouter, Request, Response

from llmflow.errors import AuthenticationError, ForbiddenError
from llmflow.runtime import Runtime
from llmflow.server.forms import Readiness
from llmflow.server.metrics import CONTENT_TYPE
from llmflow.server.nouns import noun_response
from llmflow.server.openapi import content, errors, example

router = APIRouter(tags=["operation"])
log = logging.getLogger(__name__)

_TIMEOUT_S = 3.0
_FRESH_S = 1.0
_NEEDED = frozenset({"database", "objects", "vectors", "queue"})
"""Without the others answers still come: quoted instead of generated, not cached, without history."""
_READY = Readiness(True, {"database": "ok", "objects": "ok", "vectors": "ok", "keyvalue": "ok", "queue": "ok"})
_NOT_READY = Readiness(False, {**_READY.components, "database": "failed", "queue": "failed"})


@router.get(
    "/healthz",
    operation_id="health",
    summary="Does it live?",
    responses={200: {"description": "It does", **content({"status": "ok"})}},
)
async def health() -> dict[str, str]:
    """Answers as long as the process does."""
    return {"status": "ok"}


@router.get(
    "/readyz",
    operation_id="ready",
    summary="Can it serve?",
    response_model=Readiness,
    responses={
        200: example(_READY),
        503: {"model": Readiness, **example(_NOT_READY, description="A component that is needed does not answer")},
    },
)
async def ready(request: Request) -> Response:
    """Each component; 503 where one fails without which nothing can be served."""
    readiness = await request.app.state.probe()
    return noun_response(readiness, 200 if readiness.ready else 503)


@router.get(
    "/metrics",
    operation_id="metrics",
    summary="Prometheus metrics",
    response_class=Response,
    responses={
        200: {
            "description": "Text exposition format",
            **content("llmflow_queue_depth 0.0\n", "text/plain"),
        },
        **{status: errors(status)[status] for status in (401, 403)},
    },
)
def metrics(request: Request) -> Response:
    """For Prometheus: with `server.metrics_token` as bearer token; without that setting, from this machine only."""
    token = request.app.state.runtime.settings.server.metrics_token
    if token is None:
        _must_be_local(request)
    else:
        given = request.headers.get("authorization", "").partition(" ")[2].strip()
        if not hmac.compare_digest(given.encode(), token.get_secret_value().encode()):
            raise AuthenticationError("send `Authorization: Bearer TOKEN` with server.metrics_token")
    return Response(request.app.state.metrics.render(), media_type=CONTENT_TYPE)


def _must_be_local(request: Request) -> None:
    forwarded = any(name in request.headers for name in ("x-forwarded-for", "forwarded"))
    try:
        local = request.client is not None and ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        local = False
    if forwarded or not local:
        raise ForbiddenError("only this machine may read the metrics; set server.metrics_token for others")


class Probe:
    """Asks every component, all at once; answers asked for within a second are shared."""

    def __init__(self, runtime: Runtime) -> None:
        self._checks = _checks(runtime)
        self._lock = asyncio.Lock()
        self._last: Readiness | None = None
        self._at = 0.0

    async def __call__(self) -> Readiness:
        async with self._lock:
            if self._last is None or time.monotonic() - self._at > _FRESH_S:
                states = await asyncio.gather(*(self._state(name) for name in self._checks))
                components = dict(zip(self._checks, states, strict=True))
                failed = {name for name, state in components.items() if state == "failed"}
                self._last, self._at = Readiness(not failed & _NEEDED, components), time.monotonic()
            return self._last

    async def _state(self, name: str) -> Literal["ok", "failed"]:
        try:
            await asyncio.wait_for(asyncio.to_thread(self._checks[name]), _TIMEOUT_S)
        except Exception as error:  # whatever keeps a component from answering
            log.warning("%s is not ready: %s", name, str(error) or type(error).__name__)
            return "failed"
        return "ok"


def _checks(runtime: Runtime) -> Mapping[str, Callable[[], object]]:
    checks: dict[str, Callable[[], object]] = {
        "database": lambda: runtime.database.ping(),
        "objects": lambda: runtime.objects.ping(),
        "vectors": lambda: runtime.vectors.ping(),
        "keyvalue": lambda: runtime.keyvalue.ping(),
        "queue": lambda: runtime.queue.depth(),
    }
    if runtime.settings.llm.base_url:
        checks["llm"] = lambda: _call_llm(runtime)
    return checks


def _call_llm(runtime: Runtime) -> None:
    settings = runtime.settings.llm
    headers = {"Authorization": f"Bearer {settings.api_key.get_secret_value()}"} if settings.api_key else {}
    httpx.get(f"{settings.base_url}".rstrip("/") + "/models", headers=headers, timeout=_TIMEOUT_S).raise_for_status()
