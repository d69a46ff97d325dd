"""Rules about the texts a user reads before installing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from dify_plugins.tooling.validation.plugin import Plugin
from dify_plugins.tooling.validation.problem import Place, Problem, meant, shown

_TEXTS = ("README.md", "PRIVACY.md")
_KOREAN = "readme/README_ko_KR.md"
_LANGUAGES = (
    *("ar_TN", "de_DE", "en_US", "es_ES", "fa_IR", "fr_FR", "hi_IN", "id_ID", "it_IT", "ja_JP", "ko_KR", "nl_NL"),
    *("pl_PL", "pt_BR", "ro_RO", "ru_RU", "sl_SI", "th_TH", "tr_TR", "uk_UA", "vi_VN", "zh_Hans", "zh_Hant"),
)
"""The languages of Dify's pages."""


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
    if not privacy.startswith("https://") and PurePosixPath(privacy).as_posix() not in packed:
        what = f"privacy is {shown(privacy)}, and there is no such file in the package"
        yield plugin.manifest.problem(("privacy",), what, allowed="PRIVACY.md or an address", remedy="correct the path")


def translated_readmes(plugin: Plugin) -> Iterator[Problem]:
    """Dify finds a README in another language by its name only."""
    known = [f"readme/README_{language}.md" for language in _LANGUAGES]
    if _KOREAN not in {path.as_posix() for path in plugin.packed}:
        what = f"{_KOREAN} is not in the package"
        yield Place(plugin.folder / _KOREAN).problem(what, remedy="write it, for users who read Korean")
    for path in plugin.packed:
        if path.parts[0] == "readme" and path.as_posix() not in known:
            what = f"{path.as_posix()} is not found by Dify"
            allowed = "readme/README_ko_KR.md, with the language's code"
            yield Place(plugin.folder / path).problem(
                what, allowed=allowed, remedy=meant(path.as_posix(), known, "rename it")
            )
