"""Real `llmflow` processes for the tests."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

READY = "the page and the API are at "


def environment(data: Path, **settings: str) -> dict[str, str]:
    """The settings of a process: small, without OCR and masking, which cost time."""
    variables = {
        "LLMFLOW_DATA_DIR": str(data),
        "LLMFLOW_PARSING__OCR": "off",
        "LLMFLOW_PII__ENABLED": "false",
        "LLMFLOW_TRACING__ENABLED": "false",
        "LLMFLOW_SERVER__PORT": "0",
        "LLMFLOW_AUTH__REQUESTS_PER_MINUTE": "1000000",
        "LLMFLOW_AUTH__BURST": "1000000",
        "COLUMNS": "200",
    }
    return {**os.environ, **variables, **{f"LLMFLOW_{name}": value for name, value in settings.items()}}


class Process:
    """A command in a process of its own; what it wrote to standard error is in ``lines``."""

    def __init__(self, env: dict[str, str], cwd: Path, *words: str) -> None:
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "llmflow.cli.main", *words],
            env=env,
            cwd=cwd,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_for(self, text: str, seconds: float = 60) -> str:
        """The first line that holds ``text``."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for line in list(self.lines):
                if text in line:
                    return line
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        raise AssertionError(f"{text!r} never came:\n" + "\n".join(self.lines[-30:]))

    def url(self) -> str:
        """Where a server is, once it is ready."""
        return self.wait_for(READY).split(READY)[1].strip()

    def kill(self) -> None:
        """End it by SIGKILL."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def stop(self, seconds: float = 30) -> int:
        """End it by SIGTERM; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def _read(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr:
            for line in self.process.stderr:
                self.lines.append(line.rstrip("\n"))


@contextmanager
def running(env: dict[str, str], cwd: Path, *words: str) -> Iterator[Process]:
    """A process that does not outlive the test."""
    process = Process(env, cwd, *words)
    try:
        yield process
    finally:
        if process.process.poll() is None:
            process.kill()


def command(env: dict[str, str], cwd: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "llmflow.cli.main", *words],
        env=env,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
