"""The caller's passages in order of relevance."""

from __future__ import annotations

from dify_plugin import Tool
from llmflow_client import passages
from llmflow_client.errors import InvokeBadRequestError
from llmflow_client.parameters import RERANKING, Parameters
from llmflow_client.tool import LLMFlowTool, Messages

_MOST = 1000


class Rerank(LLMFlowTool, Tool):
    """Ranks passages of an earlier step, or of any other source, by relevance to a question."""

    def run(self, given: Parameters) -> Messages:
        """See ``rerank.yaml``."""
        mode = given.choice("mode", RERANKING)
        top_n = given.whole_number("top_n", 1, _MOST)
        threshold = given.number("score_threshold", 0, 1)
        query = given.text("query", most=8000)
        candidates = passages.given(given.raw("passages") or [], self.language)
        if len(candidates) > _MOST:
            raise InvokeBadRequestError(self.say("too_many_passages", count=len(candidates), most=_MOST))
        yield self.step("step_rerank", query=query, passages=len(candidates), mode=mode, top_n=top_n)
        ranked = []
        if candidates:
            body = {"query": query, "documents": [passage["content"] for passage in candidates]}
            if mode != "default":
                body["model"] = mode
            yield self.step("step_request")
            answer = self.server.post("/v1/rerank", body, "results", "llmflow")
            yield self.done(count=len(answer["results"]))
            self.note_degradations(answer["llmflow"]["degradations"])
            ranked = [
                {**candidates[each["index"]], "score": each["relevance_score"], "index": each["index"]}
                for each in answer["results"]
                if threshold is None or each["relevance_score"] >= threshold
            ]
        result = self.fitted(ranked[:top_n])
        yield self.done(count=len(result))
        numbered = passages.numbered(result)
        context = passages.context(numbered, self.language)
        if result:
            yield self.create_retriever_resource_message(passages.resources(numbered), context)
        text = context or self.say("none_left" if candidates else "nothing_to_rank")
        json = {"result": result, "count": len(result), "degradations": self.notes}
        yield from self.results(self.with_notes(text), json, context=context)
