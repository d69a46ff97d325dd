"""Commands on stores that a running server holds: they go through it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

import httpx
from pydantic import TypeAdapter

from llmflow.errors import LLMFlowError, NotFoundError, StoreHeldError, UpstreamError
from llmflow.generation.answer import AnswerEvent, Discarded, Finished, TextDelta
from llmflow.ingestion.files import find_files
from llmflow.ingestion.pipeline import Outcome
from llmflow.ingestion.reindexing import Reindexed
from llmflow.ingestion.training import Trained
from llmflow.models.llm import Message
from llmflow.runtime import Runtime
from llmflow.schema import Answer, Document, Job, JobStatus, RerankMode, RetrievalResult, Role, Scope
from llmflow.settings import Settings
from llmflow.stores.keys import KeyStore
from llmflow.stores.ownership import owner_of
from llmflow.worker.tasks import TaskQueue

_KEY_LIFE = timedelta(hours=12)
_POLL_S = 0.2
_ENDED = (JobStatus.DONE, JobStatus.FAILED)


class RemoteRuntime(Runtime):
    """A runtime whose vector store is a server's.

    What needs the store is asked of the server, with a key made for this command and revoked
    at its end; the database and the originals are used directly, as any process may.

    Args:
        url: the server's.
        scope: the command's.
    """

    def __init__(self, settings: Settings, url: str, scope: Scope) -> None:
        super().__init__(settings, owner=False)
        self._url = url
        self._scope = scope

    @cached_property
    def _http(self) -> httpx.Client:
        keys = KeyStore(self.database.engine)
        key, self._record = keys.create(
            self._scope.tenant, self._scope.departments, Role.EDITOR, "llmflow command", _KEY_LIFE
        )
        headers = {"Authorization": f"Bearer {key}"}
        # Proxies of the environment are for elsewhere.
        timeout = self.settings.server.timeout_s
        return httpx.Client(base_url=self._url, headers=headers, timeout=timeout, trust_env=False)

    def ingest(
        self, scope: Scope, department: str, paths: Iterable[Path], on_start: Callable[[int], None] | None = None
    ) -> Iterator[Outcome]:
        """See :meth:`Runtime.ingest`; the server's jobs do the work."""
        files = find_files(paths)
        if on_start:
            on_start(len(files))
        queue = TaskQueue("llmflow-ingest", self.settings, lambda job_id: None)
        jobs = []
        for path in files:
            job = self.intake.submit_file(scope, department, path)
            if job.status is JobStatus.QUEUED:
                with suppress(Exception):  # without its queue the server finds the job by itself, a little later
                    queue.put(job.id)
            jobs.append(job)
        for job in jobs:
            document = self._ended(scope, job)
            if document:
                yield Outcome(document, unchanged=job.status is JobStatus.DONE)

    def delete(self, scope: Scope, id_or_prefix: str) -> Document:
        """See :meth:`Runtime.delete`."""
        document = self.database.get(scope, id_or_prefix)
        self._call("DELETE", f"/v1/documents/{document.id}")
        return document

    def embedder_due(self) -> bool:
        """Never: the server sees to it."""
        return False

    def train_embedder(self, progress: Callable[[int, int], None] | None = None) -> Trained | None:
        """The server trains by itself.

        Raises:
            StoreHeldError: always.
        """
        raise StoreHeldError(
            f"the server at {self._url} holds the stores and trains the embedder by itself when the documents have"
            " outgrown it; to train now, stop the server",
            param="data_dir",
        )

    def reindex(self, progress: Callable[[int, int], None] | None = None) -> Reindexed:
        """The server keeps to its embedder while it runs.

        Raises:
            StoreHeldError: always.
        """
        raise StoreHeldError(
            f"the server at {self._url} holds the stores, embedded as it was started; to reindex, stop the server",
            param="data_dir",
        )

    def rebuild_graph(self, progress: Callable[[int, int], None] | None = None) -> NoReturn:
        """The server keeps the graph in step while it runs.

        Raises:
            StoreHeldError: always.
        """
        raise StoreHeldError(
            f"the server at {self._url} holds the graph and keeps it in step; to rebuild it, stop the server",
            param="data_dir",
        )

    def search(
        self,
        scope: Scope,
        question: str,
        top_k: int | None = None,
        threshold: float | None = None,
        documents: frozenset[str] | None = None,
        rerank: RerankMode | None = None,
        explain: bool = False,
    ) -> RetrievalResult:
        """See :meth:`Runtime.search`; a command names no documents."""
        assert documents is None
        body = {"query": question, "top_k": top_k, "threshold": threshold, "rerank": rerank, "explain": explain}
        return TypeAdapter(RetrievalResult).validate_python(self._call("POST", "/v1/retrieve", body))

    def ask_streaming(
        self,
        scope: Scope,
        question: str,
        top_k: int | None = None,
        *,
        cache: bool = False,
        history: Sequence[Message] = (),
    ) -> Generator[AnswerEvent]:
        """See :meth:`Runtime.ask_streaming`; a command has no history."""
        assert not history
        body = {"question": question, "stream": True, "cache": cache} | ({"top_k": top_k} if top_k else {})
        with self._asking(), self._http.stream("POST", "/v1/answer", json=body) as response:
            if response.status_code != 200:
                response.read()
                raise _error(response)
            event = ""
            for line in response.iter_lines():
                field, _, value = line.partition(":")
                if field == "event":
                    event = value.strip()
                elif field == "data":
                    yield _event(event, json.loads(value))

    def close(self) -> None:
        """Revoke the key, and release what was opened."""
        if "_http" in self.__dict__:
            KeyStore(self.database.engine).revoke(self._scope.tenant, self._record.id)
            self._http.close()
        super().close()

    def _ended(self, scope: Scope, job: Job) -> Document | None:
        """The document once its job has ended; None where it was deleted meanwhile."""
        while True:
            try:
                now, document = self.database.job(scope, job.id)
            except NotFoundError:
                return None
            if now.status in _ENDED:
                return document
            if owner_of(self.settings.data_dir) is None:
                raise UpstreamError(
                    f"the server at {self._url} is gone; what was taken in is ingested when it runs again"
                )
            time.sleep(_POLL_S)

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        sent = None if body is None else {key: value for key, value in body.items() if value is not None}
        with self._asking():
            response = self._http.request(method, path, json=sent)
        if not response.is_success:
            raise _error(response)
        return response.json()

    @contextmanager
    def _asking(self) -> Iterator[None]:
        try:
            yield
        except httpx.TransportError as error:
            raise UpstreamError(
                f"the server at {self._url} does not answer: {str(error) or type(error).__name__}; look at its log"
            ) from error


def _event(name: str, data: dict[str, Any]) -> AnswerEvent:
    match name:
        case "delta":
            return TextDelta(data["text"])
        case "discarded":
            return Discarded(data["reason"])
        case "finished":
            return Finished(TypeAdapter(Answer).validate_python(data))
        case _:
            raise _told(data["error"])


def _error(response: httpx.Response) -> LLMFlowError:
    try:
        return _told(response.json()["error"])
    except (ValueError, KeyError, TypeError):
        return UpstreamError(f"the server answered HTTP {response.status_code}; look at its log")


def _told(error: dict[str, Any]) -> LLMFlowError:
    """The server's error as it was raised there."""
    kinds = {kind.code: kind for kind in LLMFlowError.__subclasses__() if kind.code != "document"}
    return kinds.get(error["code"], LLMFlowError)(error["message"], param=error["param"], **error["details"])
