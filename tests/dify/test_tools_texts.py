"""The words of the tools and their limits, without a plugin running."""

from __future__ import annotations

import importlib.util
import json
import re
from string import Formatter
from types import ModuleType
from typing import Any

import pytest
import yaml
from environments import PLUGINS

TOOLS = ("retrieve", "rerank", "answer", "ingest_document", "ingestion_status", "mask_pii", "search_graph")


def module(name: str) -> ModuleType:
    """A module of the plugin that needs nothing of Dify."""
    path = PLUGINS / "llmflow" / "llmflow_client" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"llmflow_plugin_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def test_both_languages_say_the_same() -> None:
    texts = module("texts")._TEXTS
    for key, (korean, english) in texts.items():
        placeholders = [{field for _, field, _, _ in Formatter().parse(text) if field} for text in (korean, english)]
        assert placeholders[0] == placeholders[1], key
        assert re.search("[가-힣]", korean), key
        assert not re.search("[가-힣]", english), key
        assert not {"language", "key"} & placeholders[0], key
    assert len(texts) > 80


@pytest.mark.parametrize("tool", TOOLS)
def test_every_parameter_has_a_name_for_people(tool: str) -> None:
    texts = module("texts")._TEXTS
    declared = yaml.safe_load((PLUGINS / "llmflow" / "tools" / f"{tool}.yaml").read_text())
    for parameter in declared["parameters"]:
        if parameter["name"] not in ("file", "metadata_filter", "passages"):  # whose sentences name them
            assert parameter["name"] in texts
        assert set(parameter["label"]) == set(parameter["human_description"]) == {"en_US", "ko_KR"}


@pytest.mark.parametrize(
    "value",
    [
        "가나다라마바사 " * 1000,
        "\x01\x02" * 1000,
        "a" * 2000 + "\x01" * 2000,
        "😀" * 1000,
        ["가나다"] * 1000,
        [{"content": "가" * 3000, "metadata": {"page": 1, "name": "규정.pdf"}}] * 3,
        {"content": "가" * 3000, "title": "규정.pdf", "stages": [{"stage": "fused", "rank": 1, "score": 0.5}] * 30},
        [["가" * 3000], "나"],
    ],
)
def test_a_value_is_cut_to_its_room(value: Any) -> None:
    limits = module("limits")
    whole = limits.size(value)
    assert limits.size(value) == len(json.dumps(value, ensure_ascii=False).encode())
    assert limits.fit(value, whole) is value
    for room in (whole - 1, whole // 2, 1000, 200):
        kept = limits.fit(value, room)
        assert type(kept) is type(value)
        assert 0.4 * room < limits.size(kept) <= room
        assert "…" in str(kept) or len(kept) < len(value)
