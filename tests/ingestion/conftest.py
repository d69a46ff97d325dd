"""Somewhere to download from, and to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fetching import Site

from llmflow.settings import FetchSettings


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    yield site
    site.server.shutdown()
    site.server.server_close()


@pytest.fixture
def settings(site: Site) -> FetchSettings:
    return FetchSettings(private_hosts=(f"127.0.0.1:{site.port}",), timeout_s=5)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "target"


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries follow each other at once."""
    monkeypatch.setattr("llmflow.ingestion.fetch._PAUSES_S", (0.01, 0.02))
