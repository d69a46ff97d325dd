"""Runs a plugin as Dify's plugin daemon does, without Dify: as a process over its standard streams, or over TCP.

Protocol: one JSON object a line, as in https://github.com/langgenius/dify-plugin-daemon. The limits
of the daemon hold here as well: a line of over 5 MB ends the plugin.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import socket
import subprocess
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Literal

MAX_LINE = 5 * 1024 * 1024
"""Bytes of a line of output from which on the daemon kills the plugin."""
START_S = 60
_STOP_S = 5
_POLL_S = 0.05
_LOG_LINES = 1000

Transport = Literal["stdio", "tcp"]
Message = dict[str, Any]
Handler = Callable[[Message], Iterator[Message]]
"""Answers a call back into Dify: from its request to the pieces of the answer. What it raises is told to the plugin."""


class PluginError(Exception):
    """What a plugin answered instead of a result, as Dify is told it.

    Attributes:
        kind: class of the exception in the plugin.
        message: what its user reads.
        args_sent: further details, such as the traceback that Dify's log gets.
    """

    def __init__(self, kind: str, message: str, args_sent: Mapping[str, Any]) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind = kind
        self.message = message
        self.args_sent = args_sent


class StartError(RuntimeError):
    """A plugin that cannot be run; its text ends with the log.

    Attributes:
        reason: one line, the last of the log.
    """

    def __init__(self, plugin: str, log: list[str]) -> None:
        super().__init__("\n".join([f"{plugin} did not start:", *log]))
        self.reason = log[-1] if log else "it says nothing"


class PluginProcess:
    """A running plugin; use as a context manager. Safe between threads.

    Args:
        folder: the plugin, with ``manifest.yaml`` and ``main.py``.
        python: an interpreter that has the plugin's requirements.
        transport: ``stdio`` as an installed plugin, ``tcp`` as one that is debugged.
        handlers: by kind (``llm``, ``tool``, ``storage``, ...) who answers the plugin's calls into Dify; a
            kind without one is refused as Dify refuses what the manifest asks no permission for.
        environment: further variables of the process.
    """

    def __init__(
        self,
        folder: Path,
        python: Path,
        transport: Transport = "stdio",
        handlers: Mapping[str, Handler] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        # Not resolved: an environment is known by the path of its interpreter.
        self.folder, self.python, self.transport = folder.absolute(), python.absolute(), transport
        self.handlers = dict(handlers or {})
        self.declarations: dict[str, Any] = {}
        """What a plugin says of itself over TCP, by kind: ``manifest_declaration``, ``tool_declaration``, ..."""
        self.heartbeats: list[float] = []
        """``time.monotonic()`` of each."""
        self.log: deque[str] = deque(maxlen=_LOG_LINES)
        """What the plugin wrote to standard error, or to standard output without being a message."""
        self.longest_line = 0
        """Bytes."""
        self.strays = 0
        """Messages of sessions nobody listens to (any more)."""
        self._process: subprocess.Popen[bytes] | None = None
        self._to_plugin: IO[bytes] | None = None
        self._connection: socket.socket | None = None
        self._environment = {"HEARTBEAT_INTERVAL": "1", **(environment or {})}
        self._sessions: dict[str, queue.SimpleQueue[Message | None]] = {}
        self._ended = False
        self._ready = threading.Event()
        self._writing = threading.Lock()

    def __enter__(self) -> PluginProcess:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Start the plugin and wait for its first heartbeat, or for the end of its declarations over TCP.

        Raises:
            StartError: the interpreter cannot be run, or the plugin ends or says nothing for a minute.
        """
        self._ended = False
        deadline = time.monotonic() + START_S
        environment = {**os.environ, **self._environment, "PYTHONUNBUFFERED": "1"}
        if self.transport == "stdio":
            self._to_plugin = self._launch({**environment, "INSTALL_METHOD": "local"}, self._take).stdin
        else:
            with socket.create_server(("127.0.0.1", 0)) as server:
                port = server.getsockname()[1]
                remote = {"REMOTE_INSTALL_URL": f"127.0.0.1:{port}", "REMOTE_INSTALL_KEY": str(uuid.uuid4())}
                self._launch({**environment, "INSTALL_METHOD": "remote", **remote}, self._note)
                self._connection = self._accept(server, deadline)
            self._to_plugin = self._connection.makefile("wb")
            self._read_in_thread(self._connection.makefile("rb"), self._take)
        while not self._ready.wait(_POLL_S):
            self._require_starting(deadline)

    def close(self) -> None:
        """End the process, if there is one; whoever waits for an answer gets a :class:`PluginError`."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._to_plugin is not None:
            with contextlib.suppress(OSError):  # what a dead plugin did not read cannot be written any more
                self._to_plugin.close()
        if self._connection is not None:
            self._connection.close()

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process, once it was started."""
        assert self._process is not None
        return self._process.pid

    def invoke(self, kind: str, action: str, *, timeout_s: float = 60, **data: Any) -> Iterator[Message]:
        """Call the plugin; the messages of its answer as they come. Who stops reading cancels the session.

        Args:
            kind: ``tool``, ``model``, ``agent_strategy`` or ``endpoint``.
            timeout_s: longest wait for the next message.
            data: the call's fields, as the daemon names them.

        Raises:
            PluginError: the plugin answered with an error, went, or gave no further message in time.
        """
        session = str(uuid.uuid4())
        messages: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._sessions[session] = messages
        if self._ended:  # asked after registering, lest the end comes in between and is told to nobody
            messages.put(None)
        try:
            self.send(session, "request", {"type": kind, "action": action, "user_id": "user", **data})
            while True:
                try:
                    message = messages.get(timeout=timeout_s)
                except queue.Empty:
                    raise PluginError("Timeout", f"no message for {timeout_s:g} s", {}) from None
                if message is None:
                    raise PluginError("ProcessEnded", "the plugin's process ended", {"log": list(self.log)})
                match message["type"]:
                    case "end":
                        return
                    case "error":
                        error = message["data"]
                        raise PluginError(error["error_type"], error["message"], error.get("args") or {})
                    case _:
                        yield message["data"]
        finally:
            self._sessions.pop(session, None)

    def invoke_tool(
        self, provider: str, tool: str, credentials: Message, parameters: Message, *, timeout_s: float = 60
    ) -> Iterator[Message]:
        """Call a tool; see :meth:`invoke`."""
        fields = {"provider": provider, "tool": tool, "credentials": credentials, "tool_parameters": parameters}
        return self.invoke("tool", "invoke_tool", timeout_s=timeout_s, **fields)

    def invoke_strategy(
        self, provider: str, strategy: str, parameters: Message, *, timeout_s: float = 60
    ) -> Iterator[Message]:
        """Call an agent strategy; see :meth:`invoke`."""
        fields = {
            "agent_strategy_provider": provider,
            "agent_strategy": strategy,
            "agent_strategy_params": parameters,
        }
        return self.invoke("agent_strategy", "invoke_agent_strategy", timeout_s=timeout_s, **fields)

    def send(self, session: str, event: str, data: Message) -> None:
        """Write one message to the plugin, of a session that need not exist."""
        message = {
            "session_id": session,
            "conversation_id": None,
            "message_id": None,
            "app_id": None,
            "endpoint_id": None,
            "context": {},
            "event": event,
            "data": data,
        }
        line = json.dumps(message, ensure_ascii=False).encode() + b"\n"
        assert self._to_plugin is not None, "start the plugin first"
        with self._writing:
            try:
                self._to_plugin.write(line)
                self._to_plugin.flush()
            except (OSError, ValueError) as error:  # a closed file raises ValueError
                raise PluginError("ProcessEnded", f"the plugin does not listen: {error}", {}) from error

    def _launch(self, environment: Mapping[str, str], take: Callable[[bytes], None]) -> subprocess.Popen[bytes]:
        """Start the process; ``take`` gets the lines of its standard output."""
        try:
            self._process = subprocess.Popen(
                [self.python, "-m", "main"],
                cwd=self.folder,
                env=environment,
                stdin=subprocess.PIPE if self.transport == "stdio" else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        except OSError as error:
            raise StartError(self.folder.name, [f"{error.filename}: {error.strerror}"]) from None
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._read_in_thread(self._process.stdout, take)
        self._error_reader = self._read_in_thread(self._process.stderr, self._note)
        return self._process

    def _accept(self, server: socket.socket, deadline: float) -> socket.socket:
        server.settimeout(_POLL_S)
        while True:
            try:
                return server.accept()[0]
            except TimeoutError:
                self._require_starting(deadline)

    def _require_starting(self, deadline: float) -> None:
        if not self.alive or time.monotonic() > deadline:
            self.close()
            self._error_reader.join(_STOP_S)
            raise StartError(self.folder.name, list(self.log))

    def _read_in_thread(self, stream: IO[bytes], take: Callable[[bytes], None]) -> threading.Thread:
        def read() -> None:
            try:
                for line in stream:
                    if line.strip():
                        take(line.strip())
            except (OSError, ValueError):
                pass  # closed under us
            if take == self._take:
                self._ended = True
                for messages in list(self._sessions.values()):
                    messages.put(None)

        thread = threading.Thread(target=read, name=f"{self.folder.name}-reader", daemon=True)
        thread.start()
        return thread

    def _note(self, line: bytes) -> None:
        self.log.append(line.decode("utf-8", "replace"))

    def _take(self, line: bytes) -> None:
        self.longest_line = max(self.longest_line, len(line))
        if len(line) > MAX_LINE:
            self._note(f"a line of {len(line):,} bytes: killed".encode())
            assert self._process is not None
            self._process.kill()
            return
        try:
            message = json.loads(line)
        except ValueError:
            self._note(line)
            return
        match message.get("event"):
            case "heartbeat":
                self.heartbeats.append(time.monotonic())
                if self.transport == "stdio":
                    self._ready.set()
            case "session":
                self._dispatch(message["session_id"], message["data"])
            case None if self.transport == "tcp":
                self._declare(message)
            case None:
                self.declarations["manifest_declaration"] = message
            case _:
                self._note(line)

    def _declare(self, message: Message) -> None:
        kind, data = message["type"], message["data"]
        if kind == "end":
            self._ready.set()
        elif kind == "manifest_declaration" or not isinstance(data, list):
            self.declarations[kind] = data
        else:
            self.declarations.setdefault(kind, []).extend(data)

    def _dispatch(self, session: str, message: Message) -> None:
        if message["type"] == "invoke":
            threading.Thread(target=self._answer, args=(session, message["data"]), daemon=True).start()
        elif (messages := self._sessions.get(session)) is not None:
            messages.put(message)
        else:
            self.strays += 1

    def _answer(self, session: str, call: Message) -> None:
        """Answer a call back into Dify, as the daemon's backwards invocation does."""

        def tell(event: str, data: Message | None = None, message: str = "") -> None:
            answer = {"backwards_request_id": call["backwards_request_id"], "event": event, "message": message}
            self.send(session, "backwards_response", {**answer, "data": data})

        handler = self.handlers.get(call["type"])
        try:
            if handler is None:
                raise PermissionError(f"permission denied, you need to enable {call['type']} access in plugin manifest")
            for piece in handler(call["request"]):
                tell("response", piece, "struct")
        except Exception as error:  # whatever Dify's side meets is told to the plugin
            tell("error", message=str(error))
        tell("end")
