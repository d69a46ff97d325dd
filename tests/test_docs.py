"""The generated pages are those in the repository."""

from __future__ import annotations

import runpy
from pathlib import Path

from llmflow.settings import Settings

DOCS = Path(__file__).parents[1] / "docs"


def test_configuration_page_is_current() -> None:
    page = runpy.run_path(str(DOCS / "generate.py"))["render"]()
    assert (DOCS / "configuration.md").read_text(encoding="utf-8") == page, "run `make docs`"


def test_every_setting_is_described() -> None:
    for name, section in Settings.model_fields.items():
        fields = getattr(section.annotation, "model_fields", {name: section})
        assert all(field.description for field in fields.values()), name
