"""An answer from the documents, piece by piece."""

from __future__ import annotations

from typing import Any

from dify_plugin import Tool
from dify_plugin.entities.tool import ToolInvokeMessage
from llmflow_client import passages
from llmflow_client.limits import MOST_BYTES, fit, size
from llmflow_client.parameters import Parameters
from llmflow_client.tool import LLMFlowTool, Messages


class Answer(LLMFlowTool, Tool):
    """Answers a question with citations.

    The text is streamed as it is made, into the tool's text and the variable ``answer``. What is void is said to
    be so in both; the variable holds the final answer alone in the end.
    """

    _shown, _room, _begun = "", MOST_BYTES, False

    def run(self, given: Parameters) -> Messages:
        """See ``answer.yaml``."""
        asked = {
            "question": given.text("question", most=8000),
            "top_k": given.whole_number("top_k", 1, 1000),
            "departments": given.names("departments"),
            "cache": given.flag("use_cache", default=True),
        }
        body = {name: value for name, value in asked.items() if value is not None}
        yield self.step("step_answer", **body)
        yield self.step("step_request")
        finished: dict[str, Any] | None = None
        for name, data in self.server.events("/v1/answer", {**body, "stream": True}):
            match name:
                case "delta":
                    yield from self._stream(data["text"])
                case "discarded":
                    yield from self._void(self.say("discarded", reason=fit(data["reason"], 1000)))
                case "finished":
                    finished = data
        if finished is None:
            raise self.server.broken_off()
        yield self.done(mode=finished["mode"], timings_ms=finished["timings_ms"])
        yield from self._complete(finished["text"])
        yield from self._results(finished)

    def _results(self, finished: dict[str, Any]) -> Messages:
        answer = fit(finished["text"])
        if answer is not finished["text"]:
            self.notes.append(self.say("cut_answer", length=len(finished["text"]), kept=len(answer) - 1))
        self.note_degradations(finished["degradations"])
        citations = self.fitted([_without_nulls(citation) for citation in finished["citations"]])
        unsupported = self.fitted(finished["unsupported"])
        if below := self.with_notes(self._sources(citations)):
            yield self.create_text_message(f"\n\n{below}")
        quoted = _quoted(citations, finished)
        if quoted:
            yield self.create_retriever_resource_message(
                passages.resources(quoted), passages.context(quoted, self.language)
            )
        yield self.done(citations=len(citations), cached=finished["cached"])
        json = {
            "answer": answer,
            "mode": finished["mode"],
            "citations": citations,
            "unsupported": unsupported,
            "degradations": self.notes,
            "trace_id": finished.get("trace_id") or "",
            "cached": finished["cached"],
        }
        yield from self.results("", json)

    def _stream(self, text: str) -> Messages:
        """Show a piece, as long as there is room for it."""
        if self._room > 0 and text:
            piece = fit(text, self._room)
            self._room = self._room - size(piece) if piece is text else 0
            self._shown += piece
            self._begun = True
            yield self.create_text_message(piece)
            yield self.create_stream_variable_message("answer", piece)

    def break_off(self, told: str) -> Messages:
        """Say so where pieces were shown: after them, Dify shows no error of the node."""
        if self._begun:
            yield from self._interrupt(told)

    def _void(self, sentence: str) -> Messages:
        """Say that what was shown is void, and begin anew."""
        if self._shown:
            yield from self._interrupt(sentence)
            self._shown, self._room = "", MOST_BYTES

    def _interrupt(self, sentence: str) -> Messages:
        for message in (self.create_text_message, self._answer_message):
            yield message(f"\n\n{sentence}\n\n")

    def _complete(self, text: str) -> Messages:
        """Show what the pieces lacked of the whole answer."""
        if self._room > 0 and not text.startswith(self._shown):
            yield from self._void(self.say("replaced"))
        yield from self._stream(text[len(self._shown) :])

    def _answer_message(self, text: str) -> ToolInvokeMessage:
        return self.create_stream_variable_message("answer", text)

    def _sources(self, citations: list[dict[str, Any]]) -> str:
        """Each cited document under its number, once."""
        lines = dict.fromkeys(
            f"[{citation['number']}] {passages.place(citation['document_name'], citation.get('page'), self.language)}"
            for citation in citations
        )
        return "\n".join((f"{self.say('sources')}:", *lines)) if lines else ""


def _quoted(citations: list[dict[str, Any]], finished: dict[str, Any]) -> passages.Numbered:
    """The cited passages, each with all that is quoted of it: quotes are masked, which the whole need not be."""
    candidates = (finished.get("retrieval") or {}).get("candidates") or ()
    found = {candidate["chunk"]["id"]: candidate for candidate in candidates}
    quoted: dict[int, passages.Passage] = {}
    for citation in citations:
        number, quote = citation["number"], citation["quote"]
        if number not in quoted:
            quoted[number] = {**_source(citation, found), "content": quote}
        elif quote not in quoted[number]["content"]:
            quoted[number]["content"] += f"\n{quote}"
    return dict(zip(quoted, fit(list(quoted.values())), strict=False))


def _source(citation: dict[str, Any], found: dict[str, Any]) -> passages.Passage:
    """The passage of a citation; with the score it was found with, if it still is told."""
    if citation["chunk_id"] in found:
        return passages.of_candidate(found[citation["chunk_id"]], explain=False)
    metadata = {key: citation[key] for key in ("document_id", "chunk_id", "page") if key in citation}
    return {"title": citation["document_name"], "metadata": metadata}


def _without_nulls(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}
