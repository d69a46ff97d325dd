"""A plugin as one file, and what Dify knows it by."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import yaml

from dify_plugins.tooling.packaging.archive import Archive
from dify_plugins.tooling.packaging.errors import PackagingError

SUFFIX = ".difypkg"
MAX_BYTES = 52_428_800
"""What the daemon takes by default (``MAX_PLUGIN_PACKAGE_SIZE``), of the file and of what it unpacks to."""


@dataclass(frozen=True)
class Package:
    """The files of a package, read from its bytes.

    Raises:
        PackagingError: when the bytes are no package.
    """

    data: bytes

    @classmethod
    def of(cls, files: Mapping[str, bytes], comment: bytes = b"") -> Package:
        """The package of ``files``; read back, and the same as they.

        Raises:
            PackagingError: when they are too large or no plugin.
        """
        archive = Archive(files, comment)
        package = cls(archive.to_bytes(MAX_BYTES))
        if package.archive != archive:
            raise PackagingError("the package, read back, differs from its files; report this as a fault of the packer")
        return package

    @cached_property
    def archive(self) -> Archive:
        """The content."""
        return Archive.read(self.data, MAX_BYTES)

    @cached_property
    def name(self) -> str:
        """``llmflow-0.1.0``."""
        return f"{self._said('name')}-{self._said('version')}"

    @cached_property
    def plugin(self) -> str:
        """``author/name``."""
        return f"{self._said('author')}/{self._said('name')}"

    @cached_property
    def identity(self) -> str:
        """``author/name:version@checksum``, as Dify reckons it.

        The checksum is the SHA-256 over SHA-256(path) + SHA-256(content) of all files in the order of their paths.
        """
        files = sorted(self.archive.files.items())
        checksum = _sha256(b"".join(_sha256(path.encode()) + _sha256(content) for path, content in files)).hex()
        return f"{self.plugin}:{self._said('version')}@{checksum}"

    @property
    def checksum(self) -> str:
        """The last part of the identity."""
        return self.identity.rpartition("@")[2]

    @cached_property
    def created_at(self) -> datetime:
        """When the manifest says that the plugin was made."""
        value = self._manifest.get("created_at")
        if not isinstance(value, datetime) or value.tzinfo is None:
            raise PackagingError(
                f"manifest.yaml: created_at is {value!r}; allowed is a time with its zone, e.g. 2026-11-21T00:00:00Z"
            )
        return value

    @cached_property
    def _manifest(self) -> Mapping[str, object]:
        try:
            manifest = yaml.safe_load(self.archive.files["manifest.yaml"])
        except KeyError:
            raise PackagingError("there is no manifest.yaml in it; name a package of a plugin") from None
        except (yaml.YAMLError, RecursionError) as error:
            raise PackagingError(f"manifest.yaml cannot be read as YAML: {error}") from error
        if not isinstance(manifest, dict) or manifest.get("type") != "plugin":
            raise PackagingError("its manifest.yaml is not that of a plugin; name a package of one")
        return manifest

    def _said(self, key: str) -> str:
        value = self._manifest.get(key)
        if not isinstance(value, str):
            raise PackagingError(f"manifest.yaml: {key} is {value!r}; allowed is a text; add it, in quotes")
        return value


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
