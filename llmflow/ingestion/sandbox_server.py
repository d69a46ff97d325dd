"""The process that forks a limited child for each file.

``python -m llmflow.ingestion.sandbox_server FD``: FD is a socket over which connections
arrive, one a parse. For each the server forks a supervisor, which forks the child that
parses. The supervisor waits for the child, the time limit or the client's hanging up,
whichever is first, and then ends the child and whatever it started (tesseract). The
server has one thread and nothing that does not survive a fork.
"""

from __future__ import annotations

import ctypes
import gc
import json
import math
import os
import re
import resource
import select
import signal
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from llmflow.errors import DocumentError
from llmflow.ingestion.parsers import parse_source
from llmflow.ingestion.parsers.base import Source
from llmflow.ingestion.sandbox_protocol import Ending, Trailer
from llmflow.schema import FailureReason, ParsedDocument
from llmflow.settings import ParsingSettings

_PR_SET_PDEATHSIG = 1
_MIB = 1024 * 1024
_MAX_REQUEST = 1 << 20
_MAX_WRITTEN = 1024 * _MIB
_OUT_OF_MEMORY = 77
_NEAR_LIMIT = 0.8
_SLACK = 16 * _MIB


def main() -> None:
    """Serve until the client closes its end."""
    control = socket.socket(fileno=int(sys.argv[1]))
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    gc.collect()
    gc.freeze()
    server = os.getpid()
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, 1, 1)
        if not message:
            return
        if os.fork() == 0:
            _die_with(server)
            control.close()
            _supervise(socket.socket(fileno=descriptors[0]))
        os.close(descriptors[0])


def _supervise(client: socket.socket) -> NoReturn:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        request = json.loads(_read_line(client))
        settings = ParsingSettings(**request["settings"])
        _end_with(client, _run(client, request, settings))
    finally:
        os._exit(0)


def _end_with(client: socket.socket, trailer: Trailer) -> None:
    with suppress(OSError):
        client.sendall(trailer.pack())


def _read_line(client: socket.socket) -> bytes:
    line = bytearray()
    while not line.endswith(b"\n") and len(line) < _MAX_REQUEST:
        data = client.recv(65536)
        if not data:
            break
        line += data
    return bytes(line)


def _run(client: socket.socket, request: dict[str, Any], settings: ParsingSettings) -> Trailer:
    # The child holds the only writing end of this pipe: it closes when the child is gone.
    alive, held = os.pipe()
    idle_mb = _resident_mb()
    started = time.monotonic()
    supervisor = os.getpid()
    child = os.fork()
    if child == 0:
        _die_with(supervisor)
        os.close(alive)
        _child(client, request, settings)
    os.close(held)
    ready, _, _ = select.select([alive, client.fileno()], [], [], settings.timeout_s)
    timed_out = not ready
    if alive not in ready:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
    _, status, usage = os.wait4(child, 0)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child, signal.SIGKILL)
    peak_mb = usage.ru_maxrss / (1024 if sys.platform == "linux" else _MIB)
    ending = Ending.TIMEOUT if timed_out else _ending(status, peak_mb - idle_mb, settings)
    return Trailer(ending, os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0, time.monotonic() - started, peak_mb)


def _ending(status: int, grown_mb: float, settings: ParsingSettings) -> Ending:
    if os.WIFEXITED(status):
        code = os.WEXITSTATUS(status)
        return Ending.DONE if code == 0 else Ending.MEMORY if code == _OUT_OF_MEMORY else Ending.CRASH
    if os.WTERMSIG(status) == signal.SIGXCPU:
        return Ending.TIMEOUT
    # C++ libraries abort when an allocation fails; the kernel kills when memory is out.
    if os.WTERMSIG(status) == signal.SIGKILL or grown_mb > _NEAR_LIMIT * settings.memory_mb:
        return Ending.MEMORY
    return Ending.CRASH


def _child(client: socket.socket, request: dict[str, Any], settings: ParsingSettings) -> NoReturn:
    os.setpgid(0, 0)
    code = 1
    try:
        _limit(settings)
        answer = json.dumps(_answer(request, settings), ensure_ascii=False).encode("utf-8", "replace")
        client.sendall(answer)
        code = 0
    except MemoryError:
        code = _OUT_OF_MEMORY
    finally:
        os._exit(code)


def _die_with(parent: int) -> None:
    # Nobody is left to end a process whose parent was killed.
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)


def _limit(settings: ParsingSettings) -> None:
    seconds = math.ceil(settings.timeout_s) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (_MAX_WRITTEN, _MAX_WRITTEN))
    if sys.platform == "linux":
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        space = pages * resource.getpagesize() + settings.memory_mb * _MIB
        resource.setrlimit(resource.RLIMIT_AS, (space, space))


def _resident_mb() -> float:
    if sys.platform != "linux":
        return 0.0
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / _MIB


def _answer(request: dict[str, Any], settings: ParsingSettings) -> dict[str, Any]:
    name = request["name"]
    try:
        parsed = parse_source(Source(Path(request["path"]).read_bytes(), name, settings))
    except DocumentError as error:
        if error.reason == FailureReason.MALFORMED and _out_of_memory(error):
            raise MemoryError from error
        return {"error": {"reason": error.reason, "message": error.message}}
    except MemoryError:
        raise
    except Exception as error:
        if _out_of_memory(error):
            raise MemoryError from error
        # Whatever a parser trips over in a foreign file is, for its owner, a broken file.
        cause = f"{type(error).__name__}: {error}"[:200]
        message = f"{name}: its content is broken ({cause}); save it again"
        return {"error": {"reason": FailureReason.MALFORMED.value, "message": message}}
    return _pack(parsed)


def _out_of_memory(error: Exception) -> bool:
    """Whether ``error`` is how a C library puts that an allocation failed."""
    if "memory" in str(error).lower():
        return True
    if sys.platform != "linux":
        return False
    peak = re.search(r"VmPeak:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return peak is not None and int(peak[1]) * 1024 > resource.getrlimit(resource.RLIMIT_AS)[0] - _SLACK


def _pack(parsed: ParsedDocument) -> dict[str, Any]:
    elements = [[e.type.value, e.text, e.page, e.coordinates, e.level] for e in parsed.elements]
    return {
        "title": parsed.title,
        "mime_type": parsed.mime_type,
        "elements": elements,
        "warnings": parsed.warnings,
    }


if __name__ == "__main__":
    main()
