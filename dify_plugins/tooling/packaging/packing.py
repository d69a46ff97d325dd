"""From a plugin's folder to its package."""

from __future__ import annotations

from pathlib import Path

from dify_plugins.tooling.packaging.errors import PackagingError
from dify_plugins.tooling.packaging.package import Package
from dify_plugins.tooling.packed import packed_files
from dify_plugins.tooling.validation import validate_plugin


def pack(folder: Path) -> Package:
    """The package of the plugin in ``folder``.

    Raises:
        PackagingError: when the plugin does not pass validation, or is too large.
    """
    return Package.of(plugin_files(folder))


def plugin_files(folder: Path) -> dict[str, bytes]:
    """What a package of the plugin in ``folder`` holds, by path.

    Raises:
        PackagingError: when the plugin does not pass validation.
    """
    problems = validate_plugin(folder)
    if problems:
        raise PackagingError("\n".join([f"{folder} is not packed, it has problems:", *map(str, problems)]))
    return {path.as_posix(): (folder / path).read_bytes() for path in packed_files(folder)}
