"""Rules about the texts a user reads before installing."""

from __future__ import annotations

import re
from collections.abc import Iterator

from dify_plugins.tooling.validation.plugin import Plugin
from dify_plugins.tooling.validation.problem import Place, Problem, shown

_TEXTS = ("README.md", "PRIVACY.md")
_TRANSLATION = re.compile(r"README_[a-z]{2}_[A-Za-z]{2,}\.md")


def readme_and_privacy(plugin: Plugin) -> Iterator[Problem]:
    """Both are packed and say something."""
    packed = {path.as_posix() for path in plugin.packed}
    for name in _TEXTS:
        file = plugin.folder / name
        if not file.is_file():
            yield Place(file).problem(f"{name} is missing", remedy="write it; Dify shows it to who installs the plugin")
        elif name not in packed:
            yield Place(plugin.folder / ".difyignore").problem(f"{name} is not packed", remedy="take its pattern out")
        elif not file.read_bytes().strip():
            yield Place(file).problem(f"{name} is empty", remedy="write it; Dify shows it to who installs the plugin")
    privacy = plugin.manifest.value.privacy
    if not privacy.startswith("https://") and privacy not in packed:
        what = f"privacy is {shown(privacy)}, and there is no such file in the package"
        yield plugin.manifest.problem(("privacy",), what, allowed="PRIVACY.md or an address", remedy="correct the path")


def translated_readmes(plugin: Plugin) -> Iterator[Problem]:
    """Dify finds a README in another language by its name only."""
    for path in plugin.packed:
        if path.parts[0] == "readme" and not _TRANSLATION.fullmatch(path.name):
            what = f"{path.as_posix()} is not found by Dify"
            allowed = "readme/README_ko_KR.md, with the language's code"
            yield Place(plugin.folder / path).problem(what, allowed=allowed, remedy="rename it")
