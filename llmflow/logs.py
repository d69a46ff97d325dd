"""Logs of the server and the workers: one line a record on standard error, without personal data.

Every record of every library leaves through one handler, which masks whatever text came from
outside the code: arguments of messages, string extras, texts of exceptions.
"""

from __future__ import annotations

import copy
import json
import logging
import re
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TextIO

from opentelemetry.trace import get_current_span
from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter

from llmflow.settings import LoggingSettings

MAX_TEXT_CHARS = 10_000
HIDDEN = "(hidden: it could not be masked)"
_IDS = ("tenant", "request_id", "trace_id")
_OWN = ("llmflow", "evaluation", "uvicorn", "huey")
# httpx and the access log of uvicorn write URLs with their queries.
_QUIET = ("httpx", "httpcore", "uvicorn.access")
_NO_EXTRAS = frozenset({*RESERVED_ATTRS, "taskName", "color_message"})
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
# Names, routes, methods and random ids; no digits but a few after a letter.
_HARMLESS = re.compile(r"(?:[a-z_/{}:.-]|(?<=[a-z])[0-9]{1,3})*|[A-Z]{1,16}|(?=[0-9]*[a-f])(?:[0-9a-f]{16}){1,4}")
_HARMLESS_BELOW = 1_000_000

_bound: ContextVar[dict[str, str] | None] = ContextVar("llmflow_log_fields", default=None)


def configure(settings: LoggingSettings, mask: Callable[[str], str] | None = None) -> None:
    """Send the records of all loggers to standard error in one form; may be called again.

    LLMFlow, uvicorn and huey write from ``settings.level`` up, other libraries from WARNING
    up, for they put data into lesser records. httpx and uvicorn's access log, whose lines hold
    URLs with their queries, write from WARNING up too.

    Args:
        settings: level and format.
        mask: makes a text free of personal data. It is not called for texts that cannot hold
            any: constants of the code it has seen before, small numbers, random ids. Without
            one, texts are written as they are.
    """
    handler = _Handler(_Masking(mask or (lambda text: text)))
    handler.setFormatter(_json_formatter() if settings.format == "json" else _TextFormatter())
    root = logging.getLogger()
    for other in list(root.handlers):
        if type(other) in (_Handler, logging.StreamHandler):  # a second one would write records unmasked
            root.removeHandler(other)
    root.addHandler(handler)
    level = logging.getLevelNamesMapping()[settings.level]
    root.setLevel(max(level, logging.WARNING))
    for name in (*_OWN, "uvicorn.error", *_QUIET):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(max(level, logging.WARNING) if name in _QUIET else level)
    logging.captureWarnings(True)
    threading.excepthook = _log_crash


@contextmanager
def bind(*, tenant: str | None = None, request_id: str | None = None, trace_id: str | None = None) -> Iterator[None]:
    """Add fields to the records made within the context, also in tasks and threads that copy it.

    The values are written unmasked: they must be ids. Without a ``trace_id``, records made
    within an observation have that of its trace.
    """
    fields = {"tenant": tenant, "request_id": request_id, "trace_id": trace_id}
    token = _bound.set({**(_bound.get() or {}), **_given(fields)})
    try:
        yield
    finally:
        _bound.reset(token)


def note(*, tenant: str | None = None, request_id: str | None = None, trace_id: str | None = None) -> None:
    """Add to the fields of the innermost :func:`bind`, from wherever its context was copied to.

    For what is known only later and elsewhere: a request's tenant, once a dependency knows the caller.
    """
    fields = _bound.get()
    if fields is not None:
        fields.update(_given({"tenant": tenant, "request_id": request_id, "trace_id": trace_id}))


def _given(fields: dict[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in fields.items() if value is not None}


class _Masking:
    """Masks the parts of records. What cannot be masked is hidden."""

    def __init__(self, mask: Callable[[str], str]) -> None:
        self._mask = mask
        self._short = lru_cache(maxsize=2048)(self._masked)
        self._busy = threading.local()

    def text(self, text: str) -> str:
        if _HARMLESS.fullmatch(text):
            return text
        if len(text) > MAX_TEXT_CHARS:
            text = f"{text[:MAX_TEXT_CHARS]}… (cut; {len(text)} characters)"
        try:
            return self._short(text) if len(text) <= 200 else self._masked(text)
        except Exception:  # whatever a masker fails with, the text must not leave
            return HIDDEN

    def message(self, record: logging.LogRecord) -> str:
        template = str(record.msg)
        values: Iterable[Any] = record.args.values() if isinstance(record.args, Mapping) else record.args or ()
        try:
            message = record.getMessage()
        except (TypeError, ValueError, KeyError):  # the arguments do not fit; logging would print them as they are
            return self.text(template)
        if all(map(_harmless, values)) and self.text(template) == template:
            return message
        return self.text(message)

    def value(self, value: Any) -> Any:
        """An extra: text masked, also within lists and objects; numbers as they are."""
        match value:
            case None | bool() | int() | float():
                return value
            case str():
                return self.text(value)
            case Mapping():
                return {self.text(str(key)): self.value(item) for key, item in value.items()}
            case list() | tuple() | set() | frozenset():
                return [self.value(item) for item in value]
            case datetime():
                return value.isoformat()
            case _:
                return self.text(str(value))

    def _masked(self, text: str) -> str:
        if getattr(self._busy, "now", False):  # a record about masking, made by masking
            raise RecursionError
        self._busy.now = True
        try:
            return self._mask(text)
        finally:
            self._busy.now = False


def _harmless(value: object) -> bool:
    match value:
        case None | bool() | float():
            return True
        case int():
            return abs(value) < _HARMLESS_BELOW
        case str():
            return _HARMLESS.fullmatch(value) is not None
        case _:
            return False


class _Handler(logging.StreamHandler[TextIO]):
    def __init__(self, masking: _Masking) -> None:
        super().__init__()
        self._masking = masking

    def handle(self, record: logging.LogRecord) -> bool:
        # Before the handler's lock is taken: masking takes its time.
        try:
            record = self._clean(record)
        except Exception:  # an argument or extra that cannot even be turned into text
            self.handleError(record)
            return False
        return super().handle(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (logging's name)
        # Logging's own way prints the record as it is.
        lost = logging.makeLogRecord({"name": __name__, "levelname": "ERROR", "levelno": logging.ERROR})
        lost.msg = f"a record from {record.pathname}:{record.lineno} could not be written"
        try:
            self.stream.write(self.format(lost) + self.terminator)
        except (OSError, ValueError):
            return  # standard error itself is gone

    def _clean(self, record: logging.LogRecord) -> logging.LogRecord:
        masking = self._masking
        clean = copy.copy(record)
        clean.msg, clean.args = masking.message(record), None
        if record.exc_info and record.exc_info[0]:
            clean.exc_text = masking.text("".join(traceback.format_exception(*record.exc_info)).rstrip())
        elif record.exc_text:
            clean.exc_text = masking.text(record.exc_text)
        clean.exc_info = None
        clean.stack_info = record.stack_info and masking.text(record.stack_info)
        for name, value in _extras(record).items():
            setattr(clean, name, value if name in _IDS else masking.value(value))
        for name, value in _current().items():
            if getattr(clean, name, None) is None:
                setattr(clean, name, value)
        return clean


def _current() -> dict[str, str]:
    fields = _bound.get() or {}
    if "trace_id" not in fields and (span := get_current_span().get_span_context()).is_valid:
        return {**fields, "trace_id": format(span.trace_id, "032x")}
    return fields


def _extras(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in record.__dict__.items() if name not in _NO_EXTRAS}


def _visible(text: str) -> str:
    return _CONTROL.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


class _JsonFormatter(JsonFormatter):
    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        return {"time": log_data.pop("time"), **log_data}

    def serialize_log_record(self, log_data: dict[str, Any]) -> str:
        # JSON lets some line ends pass that other programs take for ends of lines.
        return _visible(super().serialize_log_record(log_data))


def _json_formatter() -> logging.Formatter:
    return _JsonFormatter(
        ["levelname", "name", "message"],
        rename_fields={"levelname": "level", "name": "logger", "exc_info": "exception", "stack_info": "stack"},
        reserved_attrs=sorted(_NO_EXTRAS),
        timestamp="time",
        json_ensure_ascii=False,
    )


class _TextFormatter(logging.Formatter):
    """``TIME LEVEL LOGGER: MESSAGE NAME=VALUE ...``; further lines, of exceptions, are indented."""

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        extras = {name: value for name, value in _extras(record).items() if value is not None}
        fields = "".join(
            f" {name}={value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"
            for name, value in extras.items()
        )
        below = f"{record.exc_text or ''}\n{record.stack_info or ''}".splitlines()
        head = f"{time} {record.levelname} {record.name}: {record.getMessage()}{fields}"
        return "\n    ".join(_visible(line) for line in (head, *filter(None, below)))


def _log_crash(crash: threading.ExceptHookArgs) -> None:
    if crash.exc_type is not SystemExit and crash.exc_value is not None:
        name = crash.thread.name if crash.thread else "unknown"
        logging.getLogger(__name__).error("thread %s ended by an exception", name, exc_info=crash.exc_value)
