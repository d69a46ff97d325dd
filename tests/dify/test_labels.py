"""Dify drops ``ko_KR`` and shows ``en_US`` to everybody: what Korean users must be able to read is in both."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from environments import PLUGINS

FILES = sorted(PLUGINS.glob("llmflow*/**/*.yaml"))


def texts(node: Any) -> Iterator[dict[str, str]]:
    """Every text that is there in more than one language."""
    if isinstance(node, dict):
        if "ko_KR" in node:
            yield node
        for each in node.values():
            yield from texts(each)
    elif isinstance(node, list):
        for each in node:
            yield from texts(each)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PLUGINS)))
def test_korean_users_can_read_it(path: Any) -> None:
    for text in texts(yaml.safe_load(path.read_text(encoding="utf-8"))):
        korean = text["ko_KR"].removeprefix("LLMFlow ")
        if re.search("[가-힣]", korean):
            assert korean in text["en_US"]
