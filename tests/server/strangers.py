"""A server with an owner of documents, answers, chats and feedback, and with strangers of every kind."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import httpx
from fastapi import FastAPI
from fastapi.testclient import TestClient

from llmflow.runtime import Runtime
from llmflow.schema import Role
from llmflow.server.app import create_app
from llmflow.settings import load_settings
from llmflow.stores.keys import KeyStore

SECRETS = ("자수정코끼리", "amethyst-elephant", "은방울계획", "보랏빛조항", "비밀의견", "770,000", "880,000")
"""Words that stand in what the owner stored and asked, and nowhere else."""
DATASET = "0ada7a5e70fae7157000000000000001"
QUESTION = "근속수당은 얼마인가요?"
OWNED = """# 자수정코끼리 규정

## 제3조(보랏빛조항)

근속수당은 매달 770,000원이다. 은방울계획에 참여한 자수정코끼리 직원에게 준다.
"""
OTHERS = """# 출장 규정

## 제5조(출장비)

출장비는 하루 20,000원이다. 근속수당은 매달 50,000원이다.
"""


@dataclass(frozen=True)
class Caller:
    """Somebody with a key."""

    client: TestClient
    key: str
    key_id: str

    def call(self, method: str, path: str, **request: Any) -> httpx.Response:
        response: httpx.Response = self.client.request(
            method, path, headers={"Authorization": f"Bearer {self.key}", **request.pop("headers", {})}, **request
        )
        return response

    def json(self, method: str, path: str, **request: Any) -> Any:
        response = self.call(method, path, **request)
        assert response.is_success, response.text
        return response.json()

    def ingest(self, name: str, text: str, department: str, dataset: str, **metadata: str) -> tuple[str, str]:
        """Ids of the document and its job, once it is ready."""
        accepted = self.json(
            "POST",
            "/v1/documents",
            files={"files": (name, text.encode(), "text/markdown")},
            data={"department": department, "metadata": json.dumps(metadata), "dataset_id": dataset},
        )
        job, document = accepted["jobs"][0]["id"], accepted["documents"][0]["id"]
        for _ in range(600):
            status = self.json("GET", f"/v1/jobs/{job}")["status"]
            if status == "done":
                return document, job
            assert status in ("queued", "running"), status
            time.sleep(0.05)
        raise AssertionError("the job does not end")


class World(NamedTuple):
    """A server, who owns what there, and who has no business with it."""

    app: FastAPI
    client: TestClient
    owner: Caller
    owned: Mapping[str, str]
    strangers: Mapping[tuple[str, Role], Caller]


@contextmanager
def open_world(folder: Path) -> Iterator[World]:
    """A server over a folder, with what the owner stored, asked and said, and with strangers."""
    limits = {"requests_per_minute": 1_000_000, "burst": 1_000_000}
    settings = load_settings(data_dir=folder, parsing={"ocr": "off"}, auth=limits, logging={"level": "ERROR"})
    with Runtime(settings) as runtime:
        app = create_app(runtime)
        keys = KeyStore(runtime.database.engine)
        with TestClient(app, client=("127.0.0.1", 50_000), raise_server_exceptions=False) as client:

            def caller(tenant: str, departments: tuple[str, ...], role: Role) -> Caller:
                key, record = keys.create(tenant, departments, role, SECRETS[1])
                return Caller(client, key, record.id)

            strangers = {
                (where, role): caller(tenant, departments, role)
                for (where, tenant, departments), role in itertools.product(
                    (("tenant", "globex", ("hr", "legal")), ("department", "acme", ("it",))), Role
                )
            }
            owner = caller("acme", ("hr",), Role.ADMINISTRATOR)
            document, job = owner.ingest("amethyst-elephant.md", OWNED, "hr", DATASET, project="은방울계획")
            chunks = owner.json("GET", f"/v1/documents/{document}/chunks")["chunks"]
            trace = owner.json("POST", "/v1/answer", json={"question": QUESTION})["trace_id"]
            feedback = owner.json("POST", "/v1/feedback", json={"trace_id": trace, "value": -1, "comment": "비밀의견"})[
                "id"
            ]
            liked = owner.json("POST", "/v1/answer", json={"question": QUESTION})["trace_id"]
            assert owner.json("POST", "/v1/feedback", json={"trace_id": liked, "value": 1})["remembered"] > 0
            memory = owner.json("GET", "/v1/memory")["memories"][0]["id"]
            session = "7d3e0c4b5a69788796a5b4c3d2e1f001"
            owner.call("POST", f"/v1/chat/{session}", json={"question": QUESTION}).raise_for_status()
            for where in ("tenant", "department"):
                editor = strangers[where, Role.EDITOR]
                editor.ingest("travel.md", OTHERS, {"tenant": "legal", "department": "it"}[where], "travels")
            owned = {
                "document": document,
                "job": job,
                "chunk": chunks[0]["id"],
                "trace": trace,
                "feedback": feedback,
                "memory": memory,
                "session": session,
                "key": owner.key_id,
                "department": "hr",
                "dataset": DATASET,
            }
            yield World(app, client, owner, owned, strangers)
