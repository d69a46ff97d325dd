"""Makes observations with the Langfuse SDK."""

from __future__ import annotations

import atexit
import contextvars
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar

from llmflow.errors import ConfigurationError, LLMFlowError
from llmflow.settings import TracingSettings
from llmflow.tracing.local import connect, encodable

if TYPE_CHECKING:
    from llmflow.tracing.sinks import Sinks

P = ParamSpec("P")
R = TypeVar("R")

ObservationKind = Literal[
    "span", "agent", "tool", "chain", "retriever", "evaluator", "guardrail", "generation", "embedding"
]
"""Langfuse's types of observation."""


class Observation:
    """A step under way. ``trace_id`` is None where nothing is recorded."""

    def __init__(self, span: Any = None) -> None:
        self._span = span
        self.trace_id: str | None = span.trace_id if span is not None else None

    def update(
        self,
        *,
        output: Any = None,
        metadata: dict[str, Any] | None = None,
        warning: str | None = None,
        model: str | None = None,
        usage: dict[str, int] | None = None,
    ) -> None:
        """Add what became known, already masked.

        Args:
            output: what the step made; anything JSON can hold.
            metadata: further values by name.
            warning: why the step did less than it should (a degradation).
            model: the model's name (generations and embeddings).
            usage: tokens by kind, as the endpoint counts them (generations and embeddings).
        """
        if self._span is None:
            return
        values: dict[str, Any] = {"output": output, "metadata": metadata, "model": model, "usage_details": usage}
        if warning is not None:
            values |= {"level": "WARNING", "status_message": encodable(warning)}
        self._span.update(**{key: value for key, value in values.items() if value is not None})


_UNRECORDED = nullcontext(Observation())


class Tracer:
    """Records every step as a Langfuse observation under one trace id.

    Observations go to the local file and, where both keys are set, to the Langfuse server as
    well; without keys nothing touches the network. They are written in the background: a
    full disk or a dead server costs observations, never a caller's time or result. The SDK is
    loaded at the first observation. Traces are kept as given, so callers pass text in which
    personal data is masked already.

    Args:
        settings: whether and where to.
        path: the local file, for :class:`llmflow.tracing.LocalTraces` to read.

    Raises:
        ConfigurationError: the file cannot be opened, or only one of the two keys is set.
    """

    def __init__(self, settings: TracingSettings, path: Path) -> None:
        if (settings.public_key is None) != (settings.secret_key is None):
            raise ConfigurationError(
                "tracing.public_key and tracing.secret_key go together; set both, or neither", param="tracing"
            )
        self._settings = settings
        self._recording = settings.enabled
        self._lock = threading.Lock()
        self._sinks: Sinks | None = None
        self._file = connect(path) if settings.enabled else None

    def observe(
        self, name: str, kind: ObservationKind = "span", input: Any = None, **metadata: Any
    ) -> AbstractContextManager[Observation]:
        """A step, from entering to leaving the context; within another step it becomes its child.

        An exception marks the step as failed and goes on. Its text is kept only if it is an
        error of LLMFlow; that of a library may quote a document.

        Args:
            name: what the step is, e.g. ``retrieve.fuse``.
            kind: Langfuse's type of it.
            input: what it works on; anything JSON can hold, already masked.
            metadata: further values, already masked.
        """
        sinks = self._open_sinks()
        return _UNRECORDED if sinks is None else _observed(sinks, name, kind, input, metadata)

    def score(self, trace_id: str | None, name: str, value: float) -> None:
        """Judge a whole trace, e.g. by a user's feedback; nothing happens where ``trace_id`` is None."""
        sinks = self._open_sinks()
        if sinks is not None and trace_id is not None:
            sinks.score(trace_id, name, value)

    def flush(self) -> None:
        """Write what has ended so far; waits 5 s at most, for a server that does not answer."""
        if self._sinks is not None:
            self._sinks.flush()

    def close(self) -> None:
        """Write what is left and record no more; waits 5 s at most. Happens by itself when the program ends."""
        with self._lock:
            if not self._recording:
                return
            self._recording = False
        if self._sinks is not None:
            atexit.unregister(self.close)
            self._sinks.close()
        elif self._file is not None:
            self._file.close()

    def _open_sinks(self) -> Sinks | None:
        if self._recording and self._sinks is None:
            with self._lock:
                if self._recording and self._sinks is None and self._file is not None:
                    from llmflow.tracing.sinks import Sinks

                    self._sinks = Sinks(self._settings, self._file)
                    atexit.register(self.close)
        return self._sinks if self._recording else None


def in_current_trace(function: Callable[P, R]) -> Callable[P, R]:
    """``function`` for another thread: what it observes belongs to the step that is current now.

    A thread starts without a trace, so functions handed to a ThreadPoolExecutor go through here:
    ``pool.map(in_current_trace(search_leg), legs)``.
    """
    context = contextvars.copy_context()

    @wraps(function)
    def within(*args: P.args, **kwargs: P.kwargs) -> R:
        # A context can be entered once at a time, and several threads may run the function.
        return context.copy().run(function, *args, **kwargs)

    return within


@contextmanager
def _observed(
    sinks: Sinks, name: str, kind: ObservationKind, input: Any, metadata: dict[str, Any]
) -> Iterator[Observation]:
    failure: BaseException | None = None
    with sinks.client.start_as_current_observation(name=name, as_type=kind, input=input, metadata=metadata) as span:
        # The SDK would record an exception that reached it with its text and stack.
        try:
            yield Observation(span)
        except BaseException as error:
            failure = error
            span.update(level="ERROR", status_message=encodable(_describe(error)))
    if failure is not None:
        raise failure


def _describe(error: BaseException) -> str:
    if isinstance(error, LLMFlowError):
        return f"{error.code}: {error.message}"
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}"
