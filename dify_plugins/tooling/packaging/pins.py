"""The one list of versions and hashes that offline packages are made from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name

from dify_plugins.tooling.packaging.errors import PackagingError

_HEADER = """\
# The wheels of the Dify plugins' offline packages: Python 3.12, Linux, amd64 and arm64. Written by:
#   python -m dify_plugins.tooling pin
"""
_PIN = re.compile(r"(?P<name>[A-Za-z0-9._-]+)==(?P<version>\S+)(?P<hashes>( --hash=sha256:[0-9a-f]{64})+)")


@dataclass(frozen=True, slots=True)
class Pin:
    """One version of a distribution, and the SHA-256 of each of its wheels."""

    name: str
    version: str
    hashes: frozenset[str]

    def __str__(self) -> str:
        hashes = [f"--hash=sha256:{digest}" for digest in sorted(self.hashes)]
        return " ".join([f"{self.name}=={self.version}", *hashes])


Pins = Mapping[str, Pin]
"""Pins by normalised name."""


def read_pins(path: Path) -> Pins:
    """The pins in ``path``.

    Raises:
        PackagingError: when the file is missing, or a line is no pin.
    """
    try:
        text = path.read_text(encoding="utf-8").replace(" \\\n   ", "")
    except FileNotFoundError:
        raise PackagingError(f"{path} is missing; write it with `python -m dify_plugins.tooling pin`") from None
    pins: dict[str, Pin] = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            found = _PIN.fullmatch(line)
            if not found:
                raise PackagingError(
                    f"{path}: {line!r} is no pin; write the file with `python -m dify_plugins.tooling pin`"
                )
            name = canonicalize_name(found["name"])
            pins[name] = Pin(name, found["version"], frozenset(re.findall(r"sha256:(\w+)", found["hashes"])))
    return pins


def write_pins(path: Path, pins: Iterable[Pin]) -> None:
    """Write ``pins`` to ``path`` for `read_pins` and for pip."""
    lines = [str(pin).replace(" ", " \\\n    ") for pin in sorted(pins, key=lambda pin: pin.name)]
    path.write_text(_HEADER + "\n".join(lines) + "\n", encoding="utf-8")
