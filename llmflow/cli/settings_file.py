"""Writes settings into the user's YAML file; whatever else stands there stays, comments included."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from llmflow.errors import ConfigurationError


def set_values(file: Path, section: str, values: Mapping[str, Any]) -> None:
    """Set keys of one section of a settings file, which is made if absent.

    Raises:
        ConfigurationError: the file is written in a way that a line cannot be set in; the message
            has the lines to put there by hand.
    """
    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    changed = _edited(text, section, values)
    wanted = _parsed(text)
    wanted[section] = {**(wanted.get(section) or {}), **values}
    if _parsed(changed) != wanted:
        lines = yaml.safe_dump({section: dict(values)}, allow_unicode=True, sort_keys=False)
        raise ConfigurationError(
            f"{file} cannot be changed without rewriting it; put this there by hand:\n{lines}", param=str(file)
        )
    file.write_text(changed, encoding="utf-8")


def _parsed(text: str) -> dict[str, Any]:
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError:
        return {}
    return found if isinstance(found, dict) else {}


def _edited(text: str, section: str, values: Mapping[str, Any]) -> str:
    lines = text.splitlines()
    start = next((at for at, line in enumerate(lines) if re.match(rf"{section}:\s*(#.*)?$", line)), None)
    if start is None:
        start = len(lines)
        lines.append(f"{section}:")
    end = next((at for at in range(start + 1, len(lines)) if re.match(r"[^\s#]", lines[at])), len(lines))
    inner = next((line for line in lines[start + 1 : end] if re.match(r"\s+[^\s#]", line)), "  ")
    indent = inner[: len(inner) - len(inner.lstrip())] or "  "
    for key, value in values.items():
        line = f"{indent}{key}: {yaml.safe_dump(value, allow_unicode=True).splitlines()[0]}"
        known = re.compile(rf"{indent}{key}:\s*[^#]*?(\s+#.*)?$")
        at = next((at for at in range(start + 1, end) if known.match(lines[at])), None)
        if at is None:
            lines.insert(start + 1, line)
            end += 1
        else:
            comment = known.match(lines[at])
            lines[at] = line + ((comment and comment[1]) or "")
    return "\n".join(lines) + "\n"
