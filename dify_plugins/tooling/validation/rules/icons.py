"""Rules about icons."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from dify_plugins.tooling.validation.document import Document, Loc
from dify_plugins.tooling.validation.plugin import Declared, Plugin
from dify_plugins.tooling.validation.problem import Place, Problem, listed, shown

FOLDER = "_assets"
MAX_BYTES = 256 << 10
_PNG = b"\x89PNG\r\n\x1a\n"


def exist_and_are_pictures(plugin: Plugin) -> Iterator[Problem]:
    """Each icon is a small SVG or PNG in ``_assets``."""
    files = {path.name for path in plugin.packed if path.parent.as_posix() == FOLDER}
    named = set()
    for document, loc, name in _icons(plugin):
        if name in files:
            named.add(name)
        else:
            what = f"the icon {shown(name)} is not in {FOLDER}"
            yield document.problem(loc, what, allowed=listed(files), remedy="add it, or name one of them")
    for name in sorted(named):
        yield from _picture(plugin.folder / FOLDER / name)


def _icons(plugin: Plugin) -> Iterator[tuple[Document, Loc, str]]:
    manifest = plugin.manifest
    yield manifest.document, ("icon",), manifest.value.icon
    if manifest.value.icon_dark:
        yield manifest.document, ("icon_dark",), manifest.value.icon_dark
    providers: list[Declared[Any]] = [*plugin.tool_providers, *plugin.strategy_providers]
    for provider in providers:
        yield provider.document, ("identity", "icon"), provider.value.identity.icon
        if provider.value.identity.icon_dark:
            yield provider.document, ("identity", "icon_dark"), provider.value.identity.icon_dark
    for models in plugin.model_providers:
        for field in ("icon_small", "icon_large", "icon_small_dark", "icon_large_dark"):
            for language, name in getattr(models.value, field) or ():
                if name:
                    yield models.document, (field, language), name


def _picture(file: Path) -> Iterator[Problem]:
    size = file.stat().st_size
    if not 0 < size <= MAX_BYTES:
        what = f"the icon has {size} bytes"
        yield Place(file).problem(what, allowed=f"1 to {MAX_BYTES} bytes", remedy="save it smaller")
    elif not (_is_svg(file) or (file.suffix == ".png" and file.read_bytes().startswith(_PNG))):
        what = f"{file.name} is no picture of its kind"
        yield Place(file).problem(what, allowed="an .svg or a .png file", remedy="save it as one of them")
    elif file.suffix == ".svg" and _has_script(ElementTree.fromstring(file.read_bytes())):
        yield Place(file).problem(f"{file.name} holds a script", remedy="save it without scripts and on... attributes")


def _has_script(root: ElementTree.Element) -> bool:
    names = (name for part in root.iter() for name in part.attrib)
    return any(part.tag.endswith("script") for part in root.iter()) or any(name.startswith("on") for name in names)


def _is_svg(file: Path) -> bool:
    if file.suffix != ".svg":
        return False
    try:
        return ElementTree.fromstring(file.read_bytes()).tag.endswith("svg")
    except ElementTree.ParseError:
        return False
