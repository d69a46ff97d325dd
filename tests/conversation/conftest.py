from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from llmflow.stores.keyvalue import KeyValueStore, open_keyvalue

for folder in (Path(__file__).parent, Path(__file__).parents[1] / "models"):
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[KeyValueStore]:
    store = open_keyvalue(f"sqlite:///{tmp_path / 'keyvalue.db'}")
    yield store
    store.close()


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as executor:
        yield executor
