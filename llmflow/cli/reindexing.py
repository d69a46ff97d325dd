"""``llmflow reindex``."""

from __future__ import annotations

import time

from llmflow.cli.output import print_json, progress_bar, results
from llmflow.cli.session import Json, Session


def reindex(as_json: Json = False) -> None:
    """Embed all documents anew with the embedder of the settings, and swap the result in.

    Needed after a change of embedder.provider or embedder.model. Nothing is parsed again, and
    until the end everything stays as it was.

    Example:
      llmflow reindex
    """
    started = time.perf_counter()
    with Session().runtime() as runtime, progress_bar() as show:
        done = runtime.reindex(lambda count, total: show("embed the chunks", count, total))
    seconds = time.perf_counter() - started
    if as_json:
        report = {"before": done.before, "after": done.after, "chunks": done.chunks, "seconds": round(seconds, 3)}
        print_json(report)
    elif done.before == done.after:
        results().print(f"nothing to do: {done.chunks:,} chunks, embedder {done.after} already")
    else:
        results().print(f"{done.chunks:,} chunks: embedder {done.before} -> {done.after} in {seconds:.1f} s")
