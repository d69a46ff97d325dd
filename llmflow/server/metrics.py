"""What the server tells Prometheus.

No label names a tenant, a user or a document, and none has more than a bounded number of
values, so that neither readers of the metrics nor their number learn anything of the callers.
"""

from __future__ import annotations

import logging
import math
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Literal

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    generate_latest,
)

import llmflow
from llmflow.errors import LLMFlowError
from llmflow.generation.answer import Finished
from llmflow.schema import Degradation, JobStatus

CONTENT_TYPE = CONTENT_TYPE_LATEST
MAX_VALUES = 100
OTHER = "other"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "WEBSOCKET"})
_REQUEST_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_STAGE_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 3, 10, 30)
log = logging.getLogger(__name__)


class Metrics:
    """The metrics of one application, in a registry of its own.

    Args:
        queue_depth: jobs that wait, of every tenant; asked at each :meth:`render`. If it fails,
            the depth is NaN and the log says why.
    """

    def __init__(self, queue_depth: Callable[[], int] | None = None) -> None:
        self._registry = registry = CollectorRegistry()
        self._queue_depth = queue_depth
        self._stages, self._routes, self._codes = _Values(), _Values(), _Values()
        self.unlimited = Counter(
            "llmflow_unlimited",
            "Requests let pass because the key-value store could not count them.",
            registry=registry,
        )
        """Requests let pass because the rate limit could not be told."""
        self._requests = Histogram(
            "llmflow_request_seconds",
            "Requests and the seconds until their responses were sent.",
            ("method", "route", "status"),
            buckets=_REQUEST_S,
            registry=registry,
        )
        self._in_flight = Gauge("llmflow_requests_in_flight", "Requests in progress.", registry=registry)
        self._stage = Histogram(
            "llmflow_stage_seconds", "Seconds of a stage.", ("stage",), buckets=_STAGE_S, registry=registry
        )
        self._degradations = Counter(
            "llmflow_degradations", "Stages that failed or were skipped.", ("stage",), registry=registry
        )
        self._cache = Counter("llmflow_cache", "Questions by what the cache had.", ("result",), registry=registry)
        self._limited = Counter("llmflow_rate_limited", "Requests refused by a rate limit.", registry=registry)
        self._errors = Counter("llmflow_errors", "Errors told to callers.", ("code",), registry=registry)
        self._jobs = Counter(
            "llmflow_jobs", "Ingestion jobs by where they came to stand.", ("status",), registry=registry
        )
        self._depth = Gauge("llmflow_queue_depth", "Jobs that wait.", registry=registry)
        Info("llmflow_build", "What runs.", registry=registry).info(
            {"version": llmflow.__version__, "python": platform.python_version()}
        )
        ProcessCollector(registry=registry)
        # A rate needs a first value to rise from.
        for result in ("hit", "miss", "bypass"):
            self._cache.labels(result)
        for status in JobStatus:
            self._jobs.labels(status.value)

    @contextmanager
    def in_flight(self) -> Iterator[None]:
        """Count a request as in progress."""
        with self._in_flight.track_inprogress():
            yield

    def request(self, method: str, route: str | None, status: int, seconds: float) -> None:
        """Count a request that was answered.

        Args:
            method: its method; ``WEBSOCKET`` for one of those.
            route: the template of its path, e.g. ``/v1/documents/{id}``; None where no route matched.
            status: the response's.
            seconds: until the response was sent.
        """
        known = method if method in _METHODS else OTHER
        self._requests.labels(known, self._routes.bounded(route or "unmatched"), f"{status:d}").observe(seconds)

    def observe(self, timings_ms: Mapping[str, float], degradations: Iterable[Degradation] = ()) -> None:
        """Count the stages of a retrieval, and what went wrong in them."""
        self._observe("retrieve", timings_ms, degradations)

    def observe_answer(self, event: Finished) -> None:
        """Count an answer: what the cache said, its stages and those of the retrieval before it."""
        answer = event.answer
        self.cache(event.cache)
        if answer.retrieval is not None:
            self.observe(answer.retrieval.timings_ms, answer.retrieval.degradations)
        self._observe("answer", answer.timings_ms, answer.degradations)

    def cache(self, result: Literal["hit", "miss", "bypass"]) -> None:
        """Count a question; ``bypass``: the cache was not asked, or did not answer."""
        self._cache.labels(result).inc()

    def rate_limited(self) -> None:
        """Count a request refused by a rate limit."""
        self._limited.inc()

    def error(self, code: str) -> None:
        """Count an error told to a caller, by :attr:`llmflow.errors.LLMFlowError.code`."""
        self._errors.labels(self._codes.bounded(code)).inc()

    def job(self, status: JobStatus) -> None:
        """Count a job that came to stand there."""
        self._jobs.labels(status.value).inc()

    def render(self) -> bytes:
        """Everything, as :data:`CONTENT_TYPE`."""
        if self._queue_depth is not None:
            self._depth.set(self._ask(self._queue_depth))
        return generate_latest(self._registry)

    def _observe(self, of: str, timings_ms: Mapping[str, float], degradations: Iterable[Degradation]) -> None:
        for stage, milliseconds in timings_ms.items():
            self._stage.labels(self._stages.bounded(f"{of}.{stage}")).observe(milliseconds / 1000)
        for degradation in degradations:
            self._degradations.labels(self._stages.bounded(f"{of}.{degradation.stage}")).inc()

    def _ask(self, queue_depth: Callable[[], int]) -> float:
        try:
            return queue_depth()
        except LLMFlowError as error:  # the other metrics are wanted all the more
            log.warning("the queue does not tell its depth: %s", error.message)
            return math.nan


class _Values:
    """The values of a label: the first hundred are kept apart, further ones are one."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def bounded(self, value: str) -> str:
        if value not in self._known and len(self._known) >= MAX_VALUES:
            return OTHER
        self._known.add(value)
        return value
