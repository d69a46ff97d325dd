"""Several packages in one file, which Dify installs at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field

from dify_plugins.tooling.packaging.archive import Archive
from dify_plugins.tooling.packaging.errors import PackagingError
from dify_plugins.tooling.packaging.package import Package
from dify_plugins.tooling.validation.declarations.common import Author, Label, PluginName, Tag, Version
from dify_plugins.tooling.validation.declarations.common import Path as InsidePath
from dify_plugins.tooling.validation.document import read
from dify_plugins.tooling.validation.schema import Declaration, check

SUFFIX = ".difybndl"
MAX_BYTES = 12 * 52_428_800
"""What the daemon takes by default (``MAX_BUNDLE_PACKAGE_SIZE``)."""
_MANIFEST = "manifest.yaml"


class BundleManifest(Declaration):
    """``manifest.yaml`` of a bundle, but for its packages, which the packer adds."""

    name: PluginName
    labels: Label
    description: Label
    icon: InsidePath
    version: Version
    author: Author
    type: Literal["bundle"]
    tags: list[Tag] = Field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle as a file.

    Attributes:
        name: ``llmflow_bundle-0.1.0``.
    """

    name: str
    data: bytes


def bundle(folder: Path, packages: Sequence[Package]) -> Bundle:
    """The bundle that ``folder`` describes (manifest, icon, READMEs), of ``packages``.

    Raises:
        PackagingError: when the manifest has problems, two packages are of one plugin, or all are too large together.
    """
    manifest, raw = _manifest(folder)
    plugins = Counter(package.plugin for package in packages)
    if twice := sorted(plugin for plugin, count in plugins.items() if count > 1):
        raise PackagingError(f"the bundle would hold {', '.join(twice)} twice; name one package of each plugin")
    values = [{"type": "package", "value": {"path": package.checksum}} for package in packages]
    listed = yaml.safe_dump({**raw, "dependencies": values}, sort_keys=False, allow_unicode=True)
    files = {
        _MANIFEST: listed.encode(),
        f"_assets/{manifest.icon}": _content(folder / "_assets" / manifest.icon),
        **{path.name: _content(path) for path in folder.glob("README*.md")},
        **{f"_assets/{package.checksum}": package.data for package in packages},
    }
    archive = Archive(files)
    data = archive.to_bytes(MAX_BYTES)
    if Archive.read(data, MAX_BYTES) != archive:
        raise PackagingError("the bundle, read back, differs from its files; report this as a fault of the packer")
    return Bundle(f"{manifest.name}-{manifest.version}", data)


def _manifest(folder: Path) -> tuple[BundleManifest, dict[str, Any]]:
    document, problems = read(folder / _MANIFEST)
    if document is not None:
        manifest, problems = check(document, BundleManifest)
        if manifest is not None:
            return manifest, document.data
    raise PackagingError("\n".join([f"{folder} makes no bundle, it has problems:", *map(str, problems)]))


def _content(path: Path) -> bytes:
    if path.is_symlink() or not path.is_file():
        raise PackagingError(f"{path} is missing or no regular file; a bundle needs it")
    return path.read_bytes()
