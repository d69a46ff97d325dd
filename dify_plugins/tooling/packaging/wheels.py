"""Wheels: fetched once, kept by platform, and what they require."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from email import message_from_bytes
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

from dify_plugins.tooling.packaging.errors import PackagingError
from dify_plugins.tooling.packaging.pins import Pins, write_pins
from dify_plugins.tooling.packaging.platforms import Platform


@dataclass(frozen=True, slots=True)
class Wheel:
    """One wheel, as a file."""

    path: Path
    name: str
    version: str

    @classmethod
    def at(cls, path: Path) -> Wheel:
        name, version, _, _ = parse_wheel_filename(path.name)
        return cls(path, canonicalize_name(name), str(version))

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.path.read_bytes()).hexdigest()

    @property
    def requires(self) -> list[Requirement]:
        """Its ``Requires-Dist``."""
        with zipfile.ZipFile(self.path) as zipped:
            (metadata,) = (name for name in zipped.namelist() if name.endswith(".dist-info/METADATA"))
            lines = message_from_bytes(zipped.read(metadata)).get_all("Requires-Dist", [])
        return [Requirement(line) for line in lines]


def wheels(pins: Pins, platform: Platform, cache: Path) -> dict[str, Wheel]:
    """A wheel of each pin for ``platform``, by normalised name; what ``cache`` lacks is fetched with pip.

    Raises:
        PackagingError: when pip finds no such wheel.
    """
    folder = cache / platform.name
    held = _held(pins, folder)
    missing = [pin for name, pin in pins.items() if name not in held]
    if not missing:
        return held
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        listed = Path(scratch) / "requirements.txt"
        write_pins(listed, missing)
        pip(platform, ["download", "--no-deps", "--require-hashes", "--dest", str(folder), "-r", str(listed)])
    return _held(pins, folder)


def _held(pins: Pins, folder: Path) -> dict[str, Wheel]:
    found = map(Wheel.at, sorted(folder.glob("*.whl")))
    return {wheel.name: wheel for wheel in found if wheel.name in pins and wheel.sha256 in pins[wheel.name].hashes}


def pip(platform: Platform, arguments: list[str], python: str = sys.executable) -> None:
    """Run pip of ``python`` for ``platform``.

    Raises:
        PackagingError: with what pip says.
    """
    command = [python, "-m", "pip", "--disable-pip-version-check", *arguments, "--quiet", *platform.pip_options]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise PackagingError(f"{python} cannot be run: {error.strerror}; name a Python 3.12") from error
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or [done.stderr.strip()]
        raise PackagingError(
            "\n".join([f"pip finds no complete set of wheels for {platform.name}; is its index in reach?", *said])
        )
