"""The task queues of huey: which job is to be looked at next, and what the clock starts.

The jobs themselves are rows of the database; a task only names one. A task that is lost, sent
twice or comes late does no harm, for a job is claimed in the database and the sweep (see
:mod:`llmflow.worker.runner`) names again what nobody has looked at.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from huey import Huey, RedisHuey, SqliteHuey, crontab
from huey.consumer import Consumer
from huey.registry import Message
from huey.serializer import Serializer
from redis import ConnectionPool

from llmflow.settings import CollectionSettings, Settings

_POLL_S = 0.3


class TaskQueue:
    """One queue with one kind of task, in SQLite or Redis as the key-value store is.

    Args:
        name: of the queue; processes that share the settings share it.
        run: what a worker does with a job's id.
    """

    def __init__(self, name: str, settings: Settings, run: Callable[[str], object]) -> None:
        common: dict[str, Any] = {"name": name, "results": False, "serializer": _Json(), "utc": False}
        url = settings.keyvalue_url
        if url.startswith("redis"):
            pool = ConnectionPool.from_url(url, socket_connect_timeout=2, socket_timeout=5)
            self._huey: Huey = RedisHuey(connection_pool=pool, **common)
        else:
            self._huey = SqliteHuey(filename=str(settings.data_dir / "tasks.db"), **common)

        # Here, for huey names a task by its module too, and every process must mean the same one.
        def job(job_id: str) -> None:
            run(job_id)

        self._task = self._huey.task(name="job")(job)

    def put(self, job_id: str) -> None:
        """Name a job to be looked at."""
        self._task(job_id)

    def waiting(self) -> int:
        """How many tasks no worker has taken yet."""
        return int(self._huey.pending_count())

    def at(self, collection: CollectionSettings, work: Callable[[], object]) -> None:
        """Do ``work`` whenever the collection's cron expression says; the server's clock and zone count."""
        minute, hour, day, month, weekday = collection.cron.split()
        when = crontab(minute=minute, hour=hour, day=day, month=month, day_of_week=weekday, strict=True)
        self._huey.periodic_task(when, name=f"collect-{collection.name}")(work)

    def consumer(self, workers: int, *, clock: bool = False) -> TaskConsumer:
        """Threads that take tasks; with ``clock``, also what :meth:`at` asked for: in one process only."""
        return TaskConsumer(self._huey, workers=workers, periodic=clock, max_delay=_POLL_S, check_worker_health=False)


class TaskConsumer(Consumer):  # type: ignore[misc]
    """A consumer whose process handles its signals itself."""

    def _set_signal_handlers(self) -> None:
        pass

    def drain(self, seconds: float) -> bool:
        """Take no more tasks and give those that run some time; whether they made it."""
        self.shutdown_timeout = seconds
        self.stop_flag.set()
        return bool(self._join_workers())


class _Json(Serializer):  # type: ignore[misc]
    """Messages as JSON: what is read from a shared server must not be able to run code, as a pickle could."""

    def _serialize(self, data: Message) -> bytes:
        return json.dumps([data.id, data.name, data.args, data.kwargs]).encode()

    def _deserialize(self, data: bytes) -> Message:
        id_, name, args, kwargs = json.loads(data)
        return Message(id=id_, name=name, args=tuple(args), kwargs=kwargs)
