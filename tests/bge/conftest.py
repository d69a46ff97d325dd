"""The tests here run models in this process: `make test-bge` runs them, in an environment of its own."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

if find_spec("FlagEmbedding") is None:
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="session")
def bge_m3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny BGE-M3."""
    from tiny_models import make_bge_m3

    return make_bge_m3(tmp_path_factory.mktemp("models") / "tiny-bge-m3")


@pytest.fixture(scope="session")
def reranker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny cross-encoder."""
    from tiny_models import make_reranker

    return make_reranker(tmp_path_factory.mktemp("models") / "tiny-reranker")
