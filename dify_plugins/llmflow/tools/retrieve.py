"""Passages for a question."""

from __future__ import annotations

from dify_plugin import Tool
from llmflow_client import passages
from llmflow_client.parameters import RERANKING, Parameters
from llmflow_client.tool import LLMFlowTool, Messages


class Retrieve(LLMFlowTool, Tool):
    """Searches the documents; the result can be given to ``rerank`` or quoted from."""

    def run(self, given: Parameters) -> Messages:
        """See ``retrieve.yaml``."""
        rerank = given.choice("rerank", RERANKING)
        explain = given.flag("explain", default=False)
        asked = {
            "query": given.text("query", most=8000),
            "top_k": given.whole_number("top_k", 1, 1000),
            "threshold": given.number("score_threshold", 0, 1),
            "departments": given.names("departments"),
            "filter": given.metadata_filter("metadata_filter"),
            "rerank": None if rerank == "default" else rerank,
            "explain": explain or None,
        }
        body = {name: value for name, value in asked.items() if value is not None}
        yield self.step("step_retrieve", **body)
        yield self.step("step_request")
        found = self.server.post("/v1/retrieve", body, "candidates", "timings_ms", "degradations")
        candidates = found["candidates"]
        yield self.done(count=len(candidates), timings_ms=found["timings_ms"])
        self.note_degradations(found["degradations"])
        result = self.fitted([passages.of_candidate(candidate, explain) for candidate in candidates])
        yield self.done(count=len(result), titles=[passage["title"] for passage in result])
        numbered = passages.numbered(result)
        context = passages.context(numbered, self.language)
        if result:
            yield self.create_retriever_resource_message(passages.resources(numbered), context)
        json = {
            "result": result,
            "count": len(result),
            "degradations": self.notes,
            "trace_id": found.get("trace_id") or "",
        }
        yield from self.results(self.with_notes(context or self.say("nothing_found")), json, context=context)
