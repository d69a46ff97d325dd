"""A server over the sample documents, for the tests of its routes.

``server_runtime`` and ``app`` are shared by the whole session: tests may add documents of other
tenants, and leave those of the tenant ``samples`` as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import httpx
import pytest
from fastapi import FastAPI
from served import DOCUMENTS, SAMPLES, TENANT, MakeKey, serving

from llmflow.runtime import Runtime
from llmflow.schema import Role, Scope
from llmflow.server.app import create_app
from llmflow.settings import Settings


@pytest.fixture(scope="session")
def server_runtime(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runtime]:
    """A runtime in which four sample documents are ingested, in the departments 인사 and 보안."""
    settings = Settings.model_validate({
        "data_dir": tmp_path_factory.mktemp("server") / "data",
        "parsing": {"ocr": "off"},
        "auth": {"requests_per_minute": 1_000_000, "burst": 1_000_000},
    })  # fmt: skip
    with Runtime(settings) as runtime:
        for department, names in DOCUMENTS.items():
            scope = Scope(TENANT, (department,))
            for outcome in runtime.ingest(scope, department, [SAMPLES / name for name in names]):
                assert outcome.document.status == "ready", outcome.document
        yield runtime


@pytest.fixture(scope="session")
def app(server_runtime: Runtime) -> FastAPI:
    return create_app(server_runtime)


@pytest.fixture(scope="session")
def key(server_runtime: Runtime) -> MakeKey:
    def make(
        role: Role | str = Role.READER, tenant: str = TENANT, departments: Sequence[str] = tuple(DOCUMENTS)
    ) -> str:
        return server_runtime.keys.create(tenant, departments, Role(role))[0]

    return make


@pytest.fixture(scope="session")
def live(app: FastAPI) -> Iterator[str]:
    """The address of the application, served by uvicorn."""
    with serving(app) as url:
        yield url


@pytest.fixture(scope="session")
def client(live: str, key: MakeKey) -> Iterator[httpx.Client]:
    """A client of the live server with a reader's key."""
    with httpx.Client(base_url=live, headers={"Authorization": f"Bearer {key()}"}, timeout=30) as client:
        yield client
