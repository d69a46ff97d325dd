"""A tracer that writes to a file of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from recorded import SCOPE

from llmflow.settings import TracingSettings
from llmflow.tracing import Tracer


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "made" / "traces.db"


@pytest.fixture
def tracer(path: Path) -> Iterator[Tracer]:
    with closing(Tracer(TracingSettings(), path)) as opened, opened.acting(SCOPE):
        yield opened
