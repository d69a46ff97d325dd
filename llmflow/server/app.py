"""The application: routes, middlewares and errors put together over a runtime."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

import llmflow
from llmflow.runtime import Runtime
from llmflow.server import errors
from llmflow.server.auth import Authenticator
from llmflow.server.limits import RateLimiter
from llmflow.server.middleware import BodyLimit, Concurrency, Deadline, Identified
from llmflow.server.openapi import DESCRIPTION, TAGS
from llmflow.server.routes import routers
from llmflow.server.workers import Workers
from llmflow.stores.keys import KeyStore
from llmflow.worker.runner import JobRunner


def create_app(runtime: Runtime) -> FastAPI:
    """The API over a runtime, which stays the caller's to close.

    ``app.state`` holds ``runtime``, ``workers``, ``authenticator``, ``limiter`` and ``metrics``. The interactive pages of FastAPI are not
    served, as they load scripts from elsewhere; ``/openapi.json`` is.
    """
    settings = runtime.settings.server
    app = FastAPI(
        title="LLMFlow",
        version=llmflow.__version__,
        description=DESCRIPTION,
        openapi_tags=TAGS,
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan,
        # It would record questions and the texts of exceptions.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    app.state.runtime = runtime
    app.state.workers = Workers(settings.threads)
    app.state.authenticator = Authenticator(KeyStore(runtime.database.engine), runtime.settings.auth)
    app.state.jobs = JobRunner(runtime, owner=True, ingest=runtime.settings.jobs.in_server)
    app.state.dispatch = app.state.jobs.dispatch
    app.state.limiter = RateLimiter(runtime.keyvalue, runtime.settings.auth)
    errors.install(app)
    for router in routers():
        app.include_router(router)
    # The one added last is the outermost.
    app.add_middleware(BodyLimit, body=settings.body_kb * 1024, upload=settings.upload_mb * 1024**2)
    app.add_middleware(Deadline, seconds=settings.timeout_s)
    app.add_middleware(Concurrency, limit=settings.concurrency)
    app.add_middleware(Identified)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    await asyncio.to_thread(app.state.jobs.start)
    yield
    await asyncio.to_thread(app.state.jobs.stop, app.state.runtime.settings.server.drain_s)
    await asyncio.to_thread(app.state.workers.close)
