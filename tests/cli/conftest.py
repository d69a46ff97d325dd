from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import Ran, run, write_documents


@pytest.fixture(autouse=True)
def no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Output goes to a file as wide as files are, whatever terminal the tests were started from."""
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder without settings or documents, in which the commands of a module run."""
    folder = tmp_path_factory.mktemp("place")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("LLMFLOW_DATA_DIR", str(folder / "data"))
        patch.setenv("LLMFLOW_PARSING__OCR", "off")
        patch.delenv("LLMFLOW_CONFIG", raising=False)
        yield folder


@pytest.fixture(scope="module")
def ingested(place: Path) -> Ran:
    """What `ingest` said of the documents, in the module's folder."""
    return run("ingest", write_documents(place / "documents"), "--json")
