"""Chooses the versions that offline packages are made from."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from packaging.utils import canonicalize_name

from dify_plugins.tooling.packaging.errors import PackagingError
from dify_plugins.tooling.packaging.pins import Pin
from dify_plugins.tooling.packaging.platforms import PLATFORMS, Platform
from dify_plugins.tooling.packaging.wheels import pip


def resolve(requirements: Sequence[Path], python: str) -> list[Pin]:
    """The newest versions that satisfy all ``requirements`` at once, with the hashes of their wheels on all platforms.

    Args:
        python: a Python 3.12; pip asks the one it runs in what a requirement's markers mean.

    Raises:
        PackagingError: when a platform has no wheel of something, or a version of its own.
    """
    pins: dict[str, Pin] = {}
    for platform in PLATFORMS:
        for chosen in _chosen(platform, requirements, python):
            other = pins.get(chosen.name, chosen)
            if other.version != chosen.version:
                raise PackagingError(
                    f"{chosen.name} would be {other.version} on one platform and {chosen.version} on {platform.name}; "
                    "bound its version in requirements.txt of the plugin that needs it"
                )
            pins[chosen.name] = Pin(chosen.name, chosen.version, other.hashes | chosen.hashes)
    return list(pins.values())


def _chosen(platform: Platform, requirements: Sequence[Path], python: str) -> list[Pin]:
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "report.json"
        files = [option for path in requirements for option in ("-r", str(path))]
        dry = ["install", "--dry-run", "--ignore-installed", "--target", scratch, "--report", str(report)]
        pip(platform, [*dry, *files], python)
        installs = json.loads(report.read_text(encoding="utf-8"))["install"]
    return [
        Pin(
            canonicalize_name(one["metadata"]["name"]),
            one["metadata"]["version"],
            frozenset([one["download_info"]["archive_info"]["hashes"]["sha256"]]),
        )
        for one in installs
    ]
