"""Parsing of untrusted files, each in a process of its own with limits.

One small server process per Python process holds the loaded parsers and forks a child for
each file (see :mod:`.sandbox_server`), so a parse costs a fork, not an interpreter. It is
started on first use, again if it died, and ends with the process that started it.
"""

from __future__ import annotations

import atexit
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmflow.errors import DocumentError
from llmflow.ingestion.sandbox_protocol import TRAILER, Ending, Trailer
from llmflow.schema import Element, ElementType, FailureReason, ParsedDocument
from llmflow.settings import ParsingSettings

_MIB = 1024 * 1024
_MAX_RESULT = 128 * _MIB
_GRACE_S = 15.0
_READ_SIZE = 1 << 16
# Numeric libraries would start a thread a core in every child.
_SINGLE_THREADED = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


@dataclass(frozen=True, slots=True)
class Usage:
    """What a parse took; ``peak_mb`` is the child's largest resident set in MiB."""

    seconds: float
    peak_mb: float


def parse(path: Path, settings: ParsingSettings, *, name: str | None = None) -> ParsedDocument:
    """Parse the file at ``path``; ``name`` is what people call it (default: its file name).

    Safe to call from several threads at once. The child may use ``settings.memory_mb``
    more address space than it has when idle (Linux; elsewhere only time is limited) and
    ``settings.timeout_s`` seconds, tesseract included.

    Raises:
        DocumentError: ``reason`` is a :class:`~llmflow.schema.FailureReason`; the message
            names the file and the remedy.
    """
    return parse_measured(path, settings, name=name)[0]


def parse_measured(path: Path, settings: ParsingSettings, *, name: str | None = None) -> tuple[ParsedDocument, Usage]:
    """As :func:`parse`, with the time and memory it took."""
    name = name or path.name
    _check_file(path, name, settings)
    request = {"path": str(path.resolve()), "name": name, "settings": settings.model_dump()}
    answer, trailer = _exchange(request, name, settings)
    if trailer.ending is Ending.DONE:
        try:
            return _unpack(json.loads(answer), name), Usage(trailer.seconds, trailer.peak_mb)
        except (ValueError, KeyError, TypeError) as error:
            raise _error(name, FailureReason.INTERNAL, f"the parser gave an unreadable answer ({error})") from None
    raise _ended(name, trailer, settings)


def _check_file(path: Path, name: str, settings: ParsingSettings) -> None:
    try:
        size = path.stat().st_size
        readable = path.is_file() and os.access(path, os.R_OK)
    except OSError as error:
        raise _error(name, FailureReason.INTERNAL, f"{path} cannot be read ({error.strerror})") from None
    if not readable:
        raise _error(name, FailureReason.INTERNAL, f"{path} is no readable file")
    if size > settings.max_file_mb * _MIB:
        raise _error(
            name,
            FailureReason.TOO_LARGE,
            f"has {size / _MIB:.0f} MiB, allowed are {settings.max_file_mb} (parsing.max_file_mb); split it",
        )


def _exchange(request: dict[str, Any], name: str, settings: ParsingSettings) -> tuple[bytes, Trailer]:
    answer = bytearray()
    with _server.job() as connection:
        connection.settimeout(settings.timeout_s + _GRACE_S)
        try:
            connection.sendall(json.dumps(request).encode() + b"\n")
            while data := connection.recv(_READ_SIZE):
                answer += data
                if len(answer) > _MAX_RESULT:
                    raise _error(
                        name, FailureReason.TOO_LARGE, f"gives more than {_MAX_RESULT // _MIB} MiB of text; split it"
                    )
        except TimeoutError:
            raise _timeout(name, settings) from None
        except OSError as error:
            raise _error(name, FailureReason.INTERNAL, f"the parser process went away ({error}); try again") from None
    if len(answer) < TRAILER.size:
        raise _error(name, FailureReason.INTERNAL, "the parser process was killed; try again")
    return bytes(answer[: -TRAILER.size]), Trailer.unpack(bytes(answer[-TRAILER.size :]))


def _ended(name: str, trailer: Trailer, settings: ParsingSettings) -> DocumentError:
    if trailer.ending is Ending.TIMEOUT:
        return _timeout(name, settings)
    if trailer.ending is Ending.MEMORY:
        return _error(
            name,
            FailureReason.MEMORY_LIMIT,
            f"needs more than {settings.memory_mb} MiB to parse (parsing.memory_mb); split it or save it again",
        )
    return _error(
        name, FailureReason.MALFORMED, f"made the parser crash (signal {trailer.signal}); save it again and retry"
    )


def _timeout(name: str, settings: ParsingSettings) -> DocumentError:
    return _error(
        name,
        FailureReason.TIMEOUT,
        f"takes longer than {settings.timeout_s:g} s to parse (parsing.timeout_s); split it or raise the limit",
    )


def _error(name: str, reason: FailureReason, what: str) -> DocumentError:
    return DocumentError(reason.value, f"{name}: {what}", param=name)


def _unpack(answer: dict[str, Any], name: str) -> ParsedDocument:
    if "error" in answer:
        error = answer["error"]
        raise DocumentError(FailureReason(error["reason"]).value, str(error["message"]), param=name)
    elements = tuple(
        Element(ElementType(kind), text, page, tuple(box) if box else None, level)
        for kind, text, page, box, level in answer["elements"]
    )
    return ParsedDocument(answer["title"], answer["mime_type"], elements, tuple(answer["warnings"]))


class _Server:
    """The server process of this Python process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._owner = 0

    @contextmanager
    def job(self) -> Iterator[socket.socket]:
        """A connection to a child that waits for one request."""
        ours, theirs = socket.socketpair()
        with ours:
            with theirs, self._lock:
                self._hand_over(theirs)
            yield ours

    def _hand_over(self, theirs: socket.socket) -> None:
        for attempt in range(2):
            control = self._running()
            try:
                socket.send_fds(control, [b"j"], [theirs.fileno()])
                return
            except OSError:
                self.stop()
                if attempt:
                    raise

    def _running(self) -> socket.socket:
        # After a fork the process of our parent is not ours to talk to.
        alive = self._process is not None and self._owner == os.getpid() and self._process.poll() is None
        if not alive or self._control is None:
            self._start()
        assert self._control is not None
        return self._control

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "llmflow.ingestion.sandbox_server", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                env={**os.environ, **_SINGLE_THREADED, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
        self._control, self._owner = ours, os.getpid()

    def stop(self) -> None:
        """End the server; running parses end with it."""
        if self._control is not None:
            self._control.close()
        if self._process is not None and self._owner == os.getpid():
            self._process.wait()
        self._process = self._control = None


_server = _Server()
atexit.register(_server.stop)
