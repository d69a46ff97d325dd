"""``llmflow worker``."""

from __future__ import annotations

import signal
import threading

from llmflow.cli.output import notices
from llmflow.cli.session import Session


def worker() -> int:
    """Run ingestion jobs in a process of their own.

    Start as many as there are cores to spare, on any machine that reaches the
    same database, objects and queue. Each takes documents from the queue and
    prepares them (parse, mask, encode); the server, which owns the vector
    store, does the last stage. Interrupt to stop: running jobs get
    server.drain_s seconds, what is left is taken up by another process.

    Examples:
      llmflow worker
      LLMFLOW_JOBS__IN_SERVER=false llmflow serve
    """
    from llmflow.logs import configure
    from llmflow.runtime import Runtime
    from llmflow.stores.ownership import owner_of
    from llmflow.worker.runner import JobRunner

    settings = Session().settings
    with Runtime(settings, owner=False) as runtime:
        configure(settings.logging, lambda text: runtime.masker.mask(text).text)
        stop = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
        assert runtime.ingester  # before threads reach for it
        runner = JobRunner(runtime, owner=False)
        runner.start()
        owner = owner_of(settings.data_dir)
        where = f"the server at {owner.url} (process {owner.pid}), which holds it," if owner else "a server"
        notices().print(f"running jobs; what is prepared goes through {where} into the vector store", soft_wrap=True)
        stop.wait()
        return 0 if runner.stop(settings.server.drain_s) else 1
