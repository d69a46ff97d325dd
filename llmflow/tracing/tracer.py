"""Records observations, whoever they are made for."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmflow.errors import ConfigurationError
from llmflow.schema import Scope
from llmflow.settings import TracingSettings
from llmflow.tracing import attributes
from llmflow.tracing.file import connect, no_trace
from llmflow.tracing.observation import Observation, ObservationKind
from llmflow.tracing.words import as_given, masked_by

if TYPE_CHECKING:
    from llmflow.tracing.sinks import Sinks

_UNRECORDED = nullcontext(Observation())
_UNMARKED = nullcontext()


class Tracer:
    """Records every step as a Langfuse observation under one trace id.

    Observations go to the local file and, where both keys are set, to the Langfuse server as
    well; without keys nothing touches the network. They are written in the background: a
    full disk or a dead server costs observations, never a caller's time or result. What that
    takes is loaded at the first observation. Inputs, outputs and metadata are kept as given, so callers
    pass text in which personal data is masked already; texts of errors and warnings are masked here.

    Args:
        settings: whether and where to.
        path: the local file, for :class:`llmflow.tracing.LocalTraces` to read.
        mask: makes the text of an error or a warning free of personal data. Without one, they are
            kept as they are.

    Raises:
        ConfigurationError: the file cannot be opened, or only one of the two keys is set.
    """

    def __init__(self, settings: TracingSettings, path: Path, mask: Callable[[str], str] | None = None) -> None:
        if (settings.public_key is None) != (settings.secret_key is None):
            raise ConfigurationError(
                "tracing.public_key and tracing.secret_key go together; set both, or neither", param="tracing"
            )
        self._settings = settings
        self._words = masked_by(mask) if mask else as_given
        self._recording = settings.enabled
        self._lock = threading.Lock()
        self._sinks: Sinks | None = None
        self._file = connect(path) if settings.enabled else None

    @property
    def is_recording(self) -> bool:
        """Whether observations are kept; where not, nobody need prepare what they hold."""
        return self._recording

    def acting(self, scope: Scope, traceparent: str | None = None) -> AbstractContextManager[None]:
        """Every observation made within the context is made for ``scope``: only such scopes see it.

        It goes along into threads (:func:`llmflow.tracing.in_current_trace`) and generators
        (:func:`llmflow.tracing.in_own_context`). One within another replaces it.

        Args:
            scope: whose call this is.
            traceparent: the caller's W3C header of that name, whose trace and step the observations
                continue; one that is not valid is ignored.
        """
        if self._open_sinks() is None:
            return _UNMARKED
        from llmflow.tracing.steps import Acting

        return Acting(scope, traceparent)

    def observe(
        self, name: str, kind: ObservationKind = "span", input: Any = None, **metadata: Any
    ) -> AbstractContextManager[Observation]:
        """A step, from entering to leaving the context; within another step it becomes its child.

        An exception marks the step as failed and goes on. Its text is kept, masked, only if it
        is an error of LLMFlow; that of a library may quote a document.

        A generator that yields within a step needs :func:`llmflow.tracing.in_own_context`.

        Args:
            name: what the step is, e.g. ``retrieve.fuse``.
            kind: Langfuse's type of it.
            input: what it works on; anything JSON can hold, already masked.
            metadata: further values, already masked.
        """
        sinks = self._open_sinks()
        if sinks is None:
            return _UNRECORDED
        from llmflow.tracing.steps import Step

        values = {attributes.KIND: kind, **attributes.of_metadata(metadata)}
        if input is not None:
            values[attributes.INPUT] = attributes.as_text(input)
        return Step(sinks.tracer, name, values, self._words)

    def score(self, scope: Scope, trace_id: str | None, name: str, value: float, *, own: bool = False) -> None:
        """Judge a whole trace, e.g. by a user's feedback; nothing happens where ``trace_id`` is None.

        Args:
            scope: who judges; it must be able to see the trace.
            trace_id: the full id.
            name: what is judged; a second score of that name replaces the first.
            value: the judgement.
            own: the trace must have been made for the scope's user.

        Raises:
            NotFoundError: this program's local file has no such trace of the scope.
        """
        sinks = self._open_sinks()
        if sinks is not None and trace_id is not None and not sinks.score(scope, trace_id, name, value, own):
            raise no_trace(trace_id)

    def flush(self, *, local: bool = False) -> None:
        """Write what has ended so far, so that it can be read.

        Args:
            local: into the local file only; otherwise waits 5 s at most for a server that does not answer.
        """
        if self._sinks is not None:
            self._sinks.flush(local)

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
