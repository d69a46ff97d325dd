"""Processes that begin in the same moment."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from contextlib import ExitStack


def run_together(program: str, arguments: Iterable[str], variables: Mapping[str, str] | None = None) -> None:
    """Run a Python program once with each argument; all must end well.

    The program prints "ready" and waits for a line before it begins.
    """
    with ExitStack() as stack:
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", program, argument],
                env={**os.environ, **(variables or {})},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for argument in arguments
        ]
        for process in processes:
            stack.callback(process.kill)
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        for process in processes:
            process.communicate(timeout=60)
        assert [process.returncode for process in processes] == [0] * len(processes)
