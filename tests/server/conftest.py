"""A server over the sample documents, for the tests of its routes.

``server_runtime`` and ``app`` are shared by the whole session: tests may add documents of other
tenants, and leave those of the tenant ``samples`` as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import httpx
import pytest
from fastapi import FastAPI
from passing_requests import SECRET, SILENCE_S
from scripted_endpoint import Endpoint
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


@pytest.fixture(scope="module")
def scripted() -> Iterator[tuple[Endpoint, str]]:
    """An endpoint that answers as a test tells it, and its address."""
    endpoint = Endpoint()
    with serving(endpoint.app) as url:
        yield endpoint, url


@pytest.fixture
def endpoint(scripted: tuple[Endpoint, str]) -> Endpoint:
    """The same, with nothing left of the test before."""
    scripted[0].reset()
    return scripted[0]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, scripted: tuple[Endpoint, str]) -> Iterator[Runtime]:
    """A runtime whose LLM is the scripted endpoint."""
    settings = Settings.model_validate({
        "data_dir": tmp_path_factory.mktemp("passing") / "data",
        "llm": {"base_url": f"{scripted[1]}/v1", "api_key": SECRET, "timeout_s": SILENCE_S, "breaker_failures": 100},
        "server": {"threads": 1},
        "graph": {"extraction": "rules"},
        "auth": {"requests_per_minute": 1_000_000, "burst": 1_000_000},
    })  # fmt: skip
    with Runtime(settings) as runtime:
        yield runtime


@pytest.fixture(scope="module")
def passing(served: Runtime) -> Iterator[httpx.Client]:
    """A reader's client of a server on that runtime."""
    key = served.keys.create("acme", ("hr",), Role.READER)[0]
    with serving(create_app(served)) as url, httpx.Client(base_url=url, timeout=30) as client:
        client.headers["Authorization"] = f"Bearer {key}"
        yield client
