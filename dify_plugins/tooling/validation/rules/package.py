"""Rules about the files of the package."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from dify_plugins.tooling.packed import IGNORE_FILE, left_out_by
from dify_plugins.tooling.requirements import FILE as REQUIREMENTS
from dify_plugins.tooling.validation.plugin import Plugin
from dify_plugins.tooling.validation.problem import Place, Problem

MAX_BYTES = 50 << 20
_BEGIN = 8192
"""Bytes in which a file that is no text has a zero."""
_COMPILED = {".pyc", ".pyo", ".pyd", ".so", ".dll", ".dylib", ".o", ".a", ".exe", ".class", ".whl"}
_SECRET_FILES = re.compile(r"\.env(\.(?!example$).*)?|.*\.(pem|key|p12|pfx)|id_(rsa|ed25519)|\.netrc|\.pypirc")
SECRETS = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----"
    r"|\bllmflow_[0-9a-f]{16}_[0-9a-f]{64}"
    r"|\b(sk|pk|rk)-[A-Za-z0-9_-]{20,}"
    r"|\bgh[pousr]_[A-Za-z0-9]{30,}"
    r"|\bAKIA[0-9A-Z]{16}\b"
    r"|\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}"
)
"""What keys and tokens look like."""


def has_ignore_file(plugin: Plugin) -> Iterator[Problem]:
    """There is a list of what stays at home, and it says nothing that Dify's packer passes over."""
    file = plugin.folder / IGNORE_FILE
    if not file.is_file():
        remedy = "create it with __pycache__/, .venv/ and .env, a line each"
        yield Place(file).problem(f"{IGNORE_FILE} is missing", remedy=remedy)
        return
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        if line.lstrip().startswith("!"):
            what = f"{line.strip()!r} brings nothing back; Dify's packer passes over it"
            yield Place(file, number).problem(what, remedy="name what stays at home only")


def has_no_secrets(plugin: Plugin) -> Iterator[Problem]:
    """Everybody who has the package can read it."""
    for path in plugin.packed:
        file = plugin.folder / path
        if _SECRET_FILES.fullmatch(path.name):
            yield Place(file).problem(f"{path} may hold secrets", remedy=f"add it to {IGNORE_FILE}")
            continue
        content = file.read_bytes()
        text = "" if b"\0" in content[:_BEGIN] else content.decode(errors="ignore")
        for number, line in enumerate(text.splitlines(), start=1):
            if found := SECRETS.search(line):
                what = f"this looks like a key or token: {found.group()[:12]}…"
                place = Place(file, number, found.start() + 1)
                yield place.problem(what, remedy="remove it, and withdraw it where it is valid")


def has_no_links(plugin: Plugin) -> Iterator[Problem]:
    """A package holds files; what a link leads to is not on the machine it is installed on."""
    for path in plugin.packed:
        if any((plugin.folder / part).is_symlink() for part in (path, *path.parents)):
            remedy = f"put a copy of the file in its place, or add it to {IGNORE_FILE}"
            yield Place(plugin.folder / path).problem(f"{path} is a link", remedy=remedy)


def needed_files_are_packed(plugin: Plugin) -> Iterator[Problem]:
    """What ``.difyignore`` leaves out is not there when the plugin starts."""
    entrypoint = f"{plugin.manifest.value.meta.runner.entrypoint}.py"
    named = {document.path.relative_to(plugin.folder).as_posix() for document in plugin.documents}
    for path in sorted({*named, *plugin.source_files, entrypoint, REQUIREMENTS}):
        line = left_out_by(plugin.folder, PurePosixPath(path))
        if line and (plugin.folder / path).is_file():
            what = f"{path} is left out, and the plugin needs it"
            yield Place(plugin.folder / IGNORE_FILE, line).problem(what, remedy="take the pattern out")


def has_no_hidden_folders(plugin: Plugin) -> Iterator[Problem]:
    """A folder such as ``.git`` or ``.venv`` is of the machine where the plugin is written."""
    hidden = {folder for path in plugin.packed for folder in path.parents if folder.name.startswith(".")}
    for folder in sorted(hidden):
        what = f"{folder} would be packed"
        yield Place(plugin.folder / IGNORE_FILE).problem(what, remedy=f"add {folder.name}/ to {IGNORE_FILE}")


def has_no_pyproject(plugin: Plugin) -> Iterator[Problem]:
    """Dify installs by ``pyproject.toml`` where there is one, and passes over ``requirements.txt``."""
    if PurePosixPath("pyproject.toml") in plugin.packed:
        what = "Dify would install by pyproject.toml and pass over requirements.txt"
        remedy = f"write what it requires into {REQUIREMENTS}, and remove it or add it to {IGNORE_FILE}"
        yield Place(plugin.folder / "pyproject.toml").problem(what, remedy=remedy)


def has_no_compiled_files(plugin: Plugin) -> Iterator[Problem]:
    """Files for one machine do not run on another."""
    for path in plugin.packed:
        if path.suffix.lower() in _COMPILED:
            what = f"{path} is a compiled file"
            yield Place(plugin.folder / path).problem(what, remedy=f"add it or its folder to {IGNORE_FILE}")


def is_small_enough(plugin: Plugin) -> Iterator[Problem]:
    """Dify takes packages of up to 50 MB, uncompressed."""
    sizes = {path: (plugin.folder / path).stat().st_size for path in plugin.packed}
    total = sum(sizes.values())
    if total > MAX_BYTES:
        largest = max(sizes, key=lambda path: sizes[path])
        what = f"the package has {total} bytes, {largest} alone has {sizes[largest]}"
        yield Place(plugin.folder).problem(what, allowed=f"{MAX_BYTES} bytes", remedy=f"add it to {IGNORE_FILE}")
