"""The application: routes, middlewares and errors put together over a runtime."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

import llmflow
from llmflow.runtime import Runtime
from llmflow.schema import JobStatus
from llmflow.server import errors
from llmflow.server.auth import Authenticator
from llmflow.server.dialogue import Dialogue
from llmflow.server.limits import RateLimiter
from llmflow.server.metrics import Metrics
from llmflow.server.middleware import BodyLimit, Concurrency, Deadline, Identified
from llmflow.server.openapi import DESCRIPTION, TAGS
from llmflow.server.routes import routers
from llmflow.server.routes.health import Probe
from llmflow.server.workers import Workers
from llmflow.worker.runner import JobRunner


def create_app(runtime: Runtime) -> FastAPI:
    """The API over a runtime, which stays the caller's to close.

    ``app.state`` holds what the routes share. The interactive pages of FastAPI are not served, as
    they load scripts from elsewhere; ``/openapi.json`` is.

    Raises:
        ConfigurationError: a setting cannot be used.
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
    app.state.metrics = Metrics(lambda: runtime.queue.depth()[JobStatus.QUEUED])
    app.state.probe = Probe(runtime)
    app.state.workers = Workers(settings.threads)
    app.state.dialogue = Dialogue(runtime)
    app.state.conversations = app.state.dialogue.sessions(app.state.workers.executor, app.state.metrics.observe_answer)
    app.state.authenticator = Authenticator(runtime.keys, runtime.settings.auth)
    app.state.jobs = JobRunner(
        runtime, owner=True, ingest=runtime.settings.jobs.in_server, on_end=app.state.metrics.job
    )
    app.state.dispatch = app.state.jobs.dispatch
    app.state.limiter = RateLimiter(runtime.keyvalue, runtime.settings.auth)
    errors.install(app)
    for router in routers():
        app.include_router(router)
    # The one added last is the outermost.
    app.add_middleware(BodyLimit, body=settings.body_kb * 1024, upload=settings.upload_mb * 1024**2)
    app.add_middleware(Deadline, seconds=settings.timeout_s)
    app.add_middleware(Concurrency, limit=settings.concurrency)
    app.add_middleware(Identified, metrics=app.state.metrics)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    await asyncio.to_thread(app.state.jobs.start)
    yield
    drain_s = app.state.runtime.settings.server.drain_s
    await asyncio.gather(
        asyncio.to_thread(app.state.jobs.stop, drain_s), asyncio.to_thread(app.state.conversations.close, drain_s)
    )
    await asyncio.to_thread(app.state.workers.close)
    if app.state.runtime.gateway is not None:
        await app.state.runtime.gateway.aclose()
