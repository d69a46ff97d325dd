"""Runs the application with uvicorn until the process is told to stop."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable

import uvicorn

from llmflow import logs
from llmflow.errors import ConfigurationError
from llmflow.ingestion.collecting import check_collections
from llmflow.runtime import Runtime
from llmflow.server.app import create_app
from llmflow.settings import Settings


def serve(settings: Settings, on_ready: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM; then requests and jobs in progress get ``server.drain_s`` to end.

    Everything is opened and loaded before the first request is taken.

    Args:
        on_ready: told the address once requests are taken.

    Raises:
        ConfigurationError: a setting cannot be used, or the address is taken.
        StoreHeldError: another process holds the stores.
        UpstreamError: the database server does not answer.
    """
    check_collections(settings)
    with _bound(settings.server.host, settings.server.port) as listener, Runtime(settings) as runtime:
        logs.configure(settings.logging, lambda text: runtime.masker.mask(text).text)
        runtime.open()
        host, port = listener.getsockname()[:2]
        url = f"http://{'127.0.0.1' if host in ('0.0.0.0', '::') else host}:{port}"

        def ready() -> None:
            runtime.ownership.announce(url)
            on_ready(url)

        server = _Server(
            uvicorn.Config(
                create_app(runtime),
                log_config=None,
                access_log=False,
                server_header=False,
                ws_max_size=settings.server.body_kb * 1024,
                # Else what a connection's next request is traced under can be the step of the one before.
                reset_contextvars=True,
                timeout_graceful_shutdown=max(1, round(settings.server.drain_s)),
            ),
            ready,
        )
        for number in (signal.SIGINT, signal.SIGTERM):
            # uvicorn raises what it caught once more at its end; by then all is done.
            signal.signal(number, lambda *_: None)
        server.run(sockets=[listener])


class _Server(uvicorn.Server):
    """Tells when it takes requests."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], object]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_ready()


def _bound(host: str, port: int) -> socket.socket:
    """The address, taken before anything is loaded, so that a wrong one is told at once."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named, asyncio sends small answers at once; else they wait 40 ms for an acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise ConfigurationError(
            f"cannot listen on {host}:{port} ({error.strerror or error}); set server.host and server.port to an address"
            " of this machine that is free",
            param="server.port",
        ) from None
    return listener
