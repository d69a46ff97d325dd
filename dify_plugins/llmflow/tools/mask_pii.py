"""A text without personal data."""

from __future__ import annotations

from dify_plugin import Tool
from llmflow_client.parameters import Parameters
from llmflow_client.tool import LLMFlowTool, Messages

_MOST = 100_000
"""Characters the server takes."""
_ENTITIES_BYTES = 3_000_000
"""Room for the entities of the longest text."""


class MaskPii(LLMFlowTool, Tool):
    """Replaces personal data by ``[TYPE]``; the server keeps nothing of the text."""

    def run(self, given: Parameters) -> Messages:
        """See ``mask_pii.yaml``."""
        text = given.text("text", most=_MOST, stripped=False)
        yield self.step("step_mask", characters=len(text))
        masked = self.server.post("/v1/pii/mask", {"text": text}, "text", "entities")
        entities = [{key: each[key] for key in ("type", "start", "end")} for each in masked["entities"]]
        counts: dict[str, int] = {}
        for each in entities:
            counts[each["type"]] = counts.get(each["type"], 0) + 1
        yield self.done(**counts)
        shown = self.fitted(masked["text"])
        json = {"text": shown, "entities": self.fitted(entities, _ENTITIES_BYTES), "count": len(entities)}
        yield from self.results(self.with_notes(shown), json)
