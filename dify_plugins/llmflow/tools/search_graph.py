"""What the documents say of a thing, a person or a rule."""

from __future__ import annotations

from typing import Any

from dify_plugin import Tool
from llmflow_client.parameters import Parameters
from llmflow_client.tool import LLMFlowTool, Messages

_LISTS = ("about", "mentioned", "relations")


class SearchGraph(LLMFlowTool, Tool):
    """Relations around an entity of the knowledge graph, and the documents they are in."""

    def run(self, given: Parameters) -> Messages:
        """See ``search_graph.yaml``."""
        asked = {
            "entity": given.text("entity", most=500),
            "hops": given.whole_number("hops", 1, 2),
            "limit": given.whole_number("limit", 1, 100),
            "departments": given.names("departments"),
        }
        body = {name: value for name, value in asked.items() if value is not None}
        yield self.step("step_graph", **body)
        found = self.server.post("/v1/graph/search", body, "name", "types", *_LISTS)
        lists = {key: self.fitted(found[key]) for key in _LISTS}
        yield self.done(**{key: len(rows) for key, rows in lists.items()})
        json = {"name": found["name"], "types": found["types"], **lists}
        summary = self.with_notes(self._summary(json))
        yield from self.results(summary, json, summary=summary)

    def _summary(self, found: dict[str, Any]) -> str:
        types = f" ({', '.join(found['types'])})" if found["types"] else ""
        parts = [f"{found['name']}{types}"]
        relations = [f"- {each['subject']} —{each['relation']}→ {each['object']}" for each in found["relations"]]
        for key, lines in (
            ("relations", relations),
            ("about", _documents(found["about"])),
            ("mentioned", _documents(found["mentioned"])),
        ):
            if lines:
                parts.append("\n".join((f"{self.say(key)}:", *lines)))
        return "\n\n".join(parts)


def _documents(rows: list[dict[str, Any]]) -> list[str]:
    """Each document once, with the number of its passages."""
    counts: dict[str, int] = {}
    for row in rows:
        counts[row["document_name"]] = counts.get(row["document_name"], 0) + 1
    return [f"- {name} ({count})" for name, count in counts.items()]
