"""Plugins as real processes in both Pythons, beside a real server; skipped where their environments are absent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast

import pytest
from environments import ENVIRONMENTS, PLUGINS, StartPlugin, interpreter
from llmflow_server import LLMFlowServer, llmflow_server

from dify_plugins.tooling.daemon import PluginProcess, Transport


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the tests of this folder, before any of them starts a server for nothing."""
    missing = [folder.name for folder in ENVIRONMENTS.values() if not (folder / ".ready").exists()]
    if missing:
        skipped = pytest.mark.skip(reason=f"needs {' and '.join(missing)}: make dify-venvs")
        for item in items:
            if item.path.is_relative_to(Path(__file__).parent):
                item.add_marker(skipped)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LLMFlowServer]:
    """The server that all tests share; what they ingest they delete."""
    with llmflow_server(tmp_path_factory.mktemp("llmflow")) as running:
        yield running


@pytest.fixture(params=["py311", "py312"])
def python(request: pytest.FixtureRequest) -> str:
    """Each environment in turn."""
    return cast("str", request.param)


@pytest.fixture(params=["stdio", "tcp"])
def transport(request: pytest.FixtureRequest) -> Transport:
    """Each transport in turn."""
    return cast("Transport", request.param)


@pytest.fixture(scope="module")
def start_plugin() -> Iterator[StartPlugin]:
    """Starts plugins; the same arguments give the same process, unless it has handlers or has ended."""
    started: dict[tuple[str, str, str], PluginProcess] = {}
    with ExitStack() as stack:

        def start(name: str, python: str = "py312", transport: Transport = "stdio", **more: Any) -> PluginProcess:
            key = (name, python, transport)
            if not more and key in started and started[key].alive:
                return started[key]
            process = stack.enter_context(PluginProcess(PLUGINS / name, interpreter(python), transport, **more))
            if not more:
                started[key] = process
            return process

        yield start
