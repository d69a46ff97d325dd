"""Runs the jobs of the queue: in the server, and in ``llmflow worker`` processes."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from llmflow.errors import LLMFlowError
from llmflow.ingestion.collecting import Collector
from llmflow.runtime import Runtime
from llmflow.schema import DocumentStatus, Job, JobStatus
from llmflow.settings import CollectionSettings
from llmflow.stores.queue import STAGED
from llmflow.worker.tasks import TaskConsumer, TaskQueue
from llmflow.worker.webhooks import WebhookSender

_log = logging.getLogger(__name__)
_PAUSE_S = 3.0


class JobRunner:
    """Takes jobs from the queue until :meth:`stop`.

    Two queues: any process runs ingestions, but only the owner of the vector store can do the
    last stage of those that another process prepared. The owner also sends webhooks, keeps the
    schedules, and trains the embedder when nothing else is to be done.

    Args:
        owner: whether this process owns the vector store.
        ingest: whether this process runs whole ingestions.
        on_end: told how each job ended.
    """

    def __init__(
        self,
        runtime: Runtime,
        *,
        owner: bool,
        ingest: bool = True,
        on_end: Callable[[JobStatus], object] | None = None,
    ) -> None:
        self._runtime = runtime
        self._on_end = on_end
        settings = runtime.settings
        self._ingestions = TaskQueue("llmflow-ingest", settings, self._run)
        self._stores = TaskQueue("llmflow-store", settings, self._run)
        self._consumers: list[TaskConsumer] = []
        if ingest:
            self._consumers.append(self._ingestions.consumer(settings.parsing.workers))
        if owner:
            self._consumers.append(self._stores.consumer(1))
            # A queue of its own: a collection may take hours.
            collections = TaskQueue("llmflow-collect", settings, self._run)
            for collection in settings.collections:
                collections.at(collection, self._collection(collection))
            self._consumers.append(collections.consumer(1, clock=True))
        self._webhooks = WebhookSender(runtime.database.engine, settings.fetch)
        self._stop = threading.Event()
        self._unflushed = threading.Event()
        steps = [self._name_again, *((self._webhooks.deliver_due, self._tidy) if owner else ())]
        # Each in a thread of its own: a webhook's dead receiver must not hold up a job.
        self._loops = [
            threading.Thread(target=self._repeat, args=(step,), name=step.__name__, daemon=True) for step in steps
        ]

    def start(self) -> None:
        """Begin, with what an earlier process left."""
        for consumer in self._consumers:
            consumer.start()
        for loop in self._loops:
            loop.start()

    def stop(self, seconds: float) -> bool:
        """Take no more jobs; those that run get ``seconds`` to end. Whether they did: if not, they are taken up again
        by the next process."""
        deadline = time.monotonic() + seconds
        self._stop.set()
        for consumer in self._consumers:
            consumer.stop_flag.set()
        ended = all([consumer.drain(max(0, deadline - time.monotonic())) for consumer in self._consumers])
        for loop in self._loops:
            loop.join(max(0, deadline - time.monotonic()))
        return ended

    def dispatch(self, job: Job) -> None:
        """Have a job looked at soon. The sweep does so a little later where the queue does not answer."""
        try:
            self._ingestions.put(job.id)
        except Exception as error:  # any that the queue's driver knows
            _log.warning("the task queue does not answer, job %s waits for the next sweep: %s", job.id, error)

    def _run(self, job_id: str) -> None:
        try:
            document = self._runtime.ingester.run(job_id)
            if document and self._on_end:
                self._on_end(JobStatus.DONE if document.status is DocumentStatus.READY else JobStatus.FAILED)
        except LLMFlowError as error:
            _log.warning("job %s waits: %s", job_id, error.message)
        finally:
            self._unflushed.set()

    def _collection(self, settings: CollectionSettings) -> Callable[[], None]:
        def collect() -> None:
            runtime = self._runtime
            collector = Collector(
                runtime.database, runtime.worker, runtime.intake, runtime.ingester, runtime.settings, self.dispatch
            )
            _log.info("collection %s: %s", settings.name, collector.collect(settings))

        return collect

    def _repeat(self, step: Callable[[], object]) -> None:
        while not self._stop.is_set():
            try:
                step()
            except Exception as error:  # a store may be away for a while
                _log.warning("%s: %s", step.__name__, error)
            self._stop.wait(_PAUSE_S)

    def _name_again(self) -> None:
        """Name the jobs whose task was lost, or whose process died; only once those named before are taken."""
        due = self._runtime.ingester.due()
        for queue, jobs in (
            (self._stores, [job for job in due if job.stage == STAGED]),
            (self._ingestions, [job for job in due if job.stage != STAGED]),
        ):
            if jobs and not queue.waiting():
                for job in jobs:
                    queue.put(job.id)

    def _tidy(self) -> None:
        """Once no job is left: rows into indexed segments, and a new embedder if one is due."""
        if self._unflushed.is_set() and not any(self._runtime.queue.depth().values()):
            self._unflushed.clear()
            self._runtime.vectors.flush()
            self._runtime.trainer.train_in_background()
