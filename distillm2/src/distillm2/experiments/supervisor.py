"""Runs a command that ends, with all it has started, when the process that asked for it is gone, even by a kill.

``python -m distillm2.experiments.supervisor command ...``: nobody writes to its standard input, a pipe; the end of it
says that the process at the other end has closed it or is dead.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time

POLL_SECONDS = 0.1
GRACE_SECONDS = 40.0  # torchrun gives its workers, which are in sessions of their own, 30 s
FORCE_SECONDS = 5.0
CANNOT_START = 127


def main(command: list[str]) -> int:
    """The command's exit status, 128 + n when signal n ended it."""
    try:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    except OSError as error:
        print(f"{command[0]} cannot be started: {error}", file=sys.stderr)
        return CANNOT_START
    while process.poll() is None and not select.select([sys.stdin], [], [], POLL_SECONDS)[0]:
        pass
    _end_group(process)
    return process.returncode if process.returncode >= 0 else 128 - process.returncode


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """Tell what is left of the group to end, then force it; each signal once, for torchrun takes a second one amiss."""
    for sign, seconds in ((signal.SIGTERM, GRACE_SECONDS), (signal.SIGKILL, FORCE_SECONDS)):
        deadline = time.monotonic() + seconds
        try:
            os.killpg(process.pid, sign)
            while time.monotonic() < deadline:
                time.sleep(POLL_SECONDS)
                process.poll()
                os.killpg(process.pid, 0)
        except (ProcessLookupError, PermissionError):  # none is left; macOS: none but zombies
            break
    process.wait()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
