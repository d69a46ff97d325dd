"""A document of the flow, added to those that can be searched."""

from __future__ import annotations

import time
from collections.abc import Generator

from dify_plugin import Tool
from dify_plugin.entities.tool import ToolInvokeMessage
from llmflow_client import dify_file, jobs
from llmflow_client.errors import InvokeBadRequestError, LLMFlowError
from llmflow_client.parameters import Parameters
from llmflow_client.tool import LLMFlowTool, Messages

_PAUSE_S = 0.3
_LONGEST_PAUSE_S = 3.0
_SPARE_S = 1.0
"""Seconds of the run that are kept for its end."""


class IngestDocument(LLMFlowTool, Tool):
    """Hands a file or an address to the server, which prepares it in a job of its own."""

    def run(self, given: Parameters) -> Messages:
        """See ``ingest_document.yaml``."""
        file, url = given.raw("file") or None, given.optional_text("url", most=2000)
        department = given.optional_text("department", most=200)
        wait = given.flag("wait", default=False)
        if not file and not url:
            raise InvokeBadRequestError(self.say("file_or_url"))
        if file and url:
            raise InvokeBadRequestError(self.say("file_and_url"))
        fields = {"department": department} if department else {}
        yield self.step("step_ingest", url=url, department=department, wait=wait)
        if file:
            one = dify_file.one_file(file, self.server)
            name = dify_file.name_of(one)
            yield self.step("step_fetch", name=name)
            with dify_file.fetched(one, self.server) as content:
                yield self.done(bytes=content.seek(0, 2))
                content.seek(0)
                yield self.step("step_upload", name=name, mime_type=one.mime_type)
                taken = self.server.upload("/v1/documents", fields, (name, content, one.mime_type), "jobs", "documents")
        else:
            yield self.step("step_request", url=url)
            taken = self.server.post("/v1/documents", {"urls": [url], **fields}, "jobs", "documents")
        job = jobs.of(taken["jobs"][0], taken["documents"][0], self.server.credentials)
        yield self.done(job_id=job.id, document_id=job.document_id)
        if wait:
            job = yield from self._ended(job)
        yield self.done(status=job.status)
        json = {"job_id": job.id, "document_id": job.document_id, "status": job.status, "name": job.name}
        yield from self.results(self.with_notes(job.told), json)

    def _ended(self, job: jobs.Job) -> Generator[ToolInvokeMessage, None, jobs.Job]:
        """The job once it has ended, or as far as it came in time; each stage is a step of the log.

        The document is in the server's hands by now, so that an error only ends the waiting.
        """
        yield self.step("step_wait", job_id=job.id)
        pause = _PAUSE_S
        while not job.ended and self.server.time_left_s > pause + _SPARE_S:
            time.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE_S)
            before = job
            try:
                job = jobs.look_up(self.server, job.id)
            except LLMFlowError as error:
                self.notes.append(str(error))
                break
            if job.stage != before.stage:
                yield self.step("step_stage", stage=job.stage, progress=job.progress)
                yield self.done()
        yield self.done(status=job.status, stage=job.stage, progress=job.progress)
        return job
