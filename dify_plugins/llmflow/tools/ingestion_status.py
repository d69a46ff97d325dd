"""How far a document is that was added."""

from __future__ import annotations

from dify_plugin import Tool
from llmflow_client import jobs
from llmflow_client.parameters import Parameters
from llmflow_client.tool import LLMFlowTool, Messages


class IngestionStatus(LLMFlowTool, Tool):
    """Looks up a job of ``ingest_document``."""

    def run(self, given: Parameters) -> Messages:
        """See ``ingestion_status.yaml``."""
        job_id = given.text("job_id", most=200)
        yield self.step("step_status", job_id=job_id)
        job = jobs.look_up(self.server, job_id)
        yield self.done(status=job.status, stage=job.stage)
        json = {
            "status": job.status,
            "stage": job.stage,
            "progress": job.progress,
            "document_id": job.document_id,
            "chunks": job.chunks,
            "error": job.error,
        }
        yield from self.results(job.told, json)
