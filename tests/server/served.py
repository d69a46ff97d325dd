"""What the tests of the server share: sample documents, and applications served for real."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import uvicorn
from fastapi import FastAPI

SAMPLES = Path(__file__).parent.parent.parent / "samples" / "documents"
TENANT = "samples"
DOCUMENTS = {"인사": ("재택근무규정.md", "복리후생.csv"), "보안": ("it_security_faq.md", "공지_출장비_2024.txt")}

MakeKey = Callable[..., str]
"""``key(role, tenant, departments)``: the text of a new key; by default a reader of all sample documents."""


class serving:  # noqa: N801 (used like a function)
    """Serve an application from a thread while the context lasts."""

    def __init__(self, app: FastAPI) -> None:
        config = uvicorn.Config(
            app, host="127.0.0.1", port=0, log_config=None, access_log=False, reset_contextvars=True
        )
        self.server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self.server.run, daemon=True)

    def __enter__(self) -> str:
        self._thread.start()
        while not self.server.started:
            assert self._thread.is_alive(), "the server did not start"
            time.sleep(0.01)
        port = self.server.servers[0].sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{port}"

    def __exit__(self, *_: object) -> None:
        self.server.should_exit = True
        self._thread.join(30)
        assert not self._thread.is_alive(), "the server did not stop"
