"""Packages that install without a network: a plugin with its wheels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement

from dify_plugins.tooling.packaging.dependencies import closure
from dify_plugins.tooling.packaging.package import Package
from dify_plugins.tooling.packaging.packing import plugin_files
from dify_plugins.tooling.packaging.pins import Pins
from dify_plugins.tooling.packaging.platforms import PLATFORMS
from dify_plugins.tooling.packaging.wheels import wheels
from dify_plugins.tooling.requirements import FILE as REQUIREMENTS
from dify_plugins.tooling.requirements import wanted

_FOLDER = "wheels"
_HEADER = f"""\
# All that is installed comes from {_FOLDER}/ beside this file.
--no-index
--find-links {_FOLDER}
"""


@dataclass(frozen=True, slots=True)
class WheelSource:
    """Where wheels come from.

    Attributes:
        pins: what may be taken.
        cache: the folder where wheels are kept; those it lacks are fetched.
    """

    pins: Pins
    cache: Path


def pack_offline(folder: Path, source: WheelSource) -> Package:
    """The package of the plugin in ``folder`` with the wheels it needs on every platform.

    Raises:
        PackagingError: as `pack`, and when a wheel is not to be had.
    """
    files = plugin_files(folder)
    return Package.of({**files, **_wheel_files(files, source)})


def _wheel_files(files: Mapping[str, bytes], source: WheelSource) -> dict[str, bytes]:
    requirements = [Requirement(text) for _, text in wanted(files[REQUIREMENTS].decode())]
    held = {platform: wheels(source.pins, platform, source.cache) for platform in PLATFORMS}
    names = sorted({name for platform in PLATFORMS for name in closure(requirements, held[platform], platform)})
    paths = {found[name].path for found in held.values() for name in names}
    lines = [str(source.pins[name]) for name in names]
    return {
        **{f"{_FOLDER}/{path.name}": path.read_bytes() for path in paths},
        REQUIREMENTS: (_HEADER + "\n".join(lines) + "\n").encode(),
    }
