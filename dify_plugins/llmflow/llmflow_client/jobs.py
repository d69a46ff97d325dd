"""Jobs that ingest documents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from llmflow_client.credentials import Credentials
from llmflow_client.server import Server

_PROGRESS = {"keep": 10, "parse": 30, "chunk": 40, "mask": 60, "embed": 75, "store": 90, "graph": 95}
"""Percent done after each stage, in their order."""
_REASONS = (
    "empty", "needs_ocr", "encrypted", "unsupported_type", "type_mismatch", "external_entity", "too_large",
    "malformed", "timeout", "memory_limit", "internal",
)  # fmt: skip


@dataclass(frozen=True)
class Job:
    """A job as Dify's variables have it: nothing is null.

    Attributes:
        status: queued, running, done or failed.
        stage: the last stage that was completed.
        progress: percent.
        error: why it failed, for people.
        told: all of this in a sentence.
    """

    id: str
    document_id: str
    name: str
    status: str
    stage: str
    progress: int
    chunks: int
    error: str
    told: str

    @property
    def ended(self) -> bool:
        """Whether nothing more happens."""
        return self.status in ("done", "failed")


def look_up(server: Server, job_id: str) -> Job:
    """A job by its number."""
    found = server.get(f"/v1/jobs/{quote(job_id, safe='')}", "status", "document")
    return of(found, found["document"], server.credentials)


def of(job: Mapping[str, Any], document: Mapping[str, Any], credentials: Credentials) -> Job:
    """A job and its document in the server's form."""
    status, stage = job["status"], job["stage"] or ""
    error = ""
    if status == "failed":
        reason = document.get("reason")
        detail = job["error"] or document.get("message") or "-"
        error = credentials.say(f"reason_{reason}" if reason in _REASONS else "reason_unknown", detail=detail)
    progress = 100 if status == "done" else _PROGRESS.get(stage, 0)
    name, chunks = document["name"], document["chunks_count"]
    told = credentials.say(f"job_{status}", name=name, job=job["id"], progress=progress, chunks=chunks, reason=error)
    return Job(job["id"], job["document_id"], name, status, stage, progress, chunks, error, told)
