"""What all tools of this plugin have in common."""

from __future__ import annotations

import logging
import time
from abc import abstractmethod
from collections.abc import Generator
from typing import Any, TypeAlias

from dify_plugin.entities.provider_config import LogMetadata
from dify_plugin.entities.tool import ToolInvokeMessage, ToolRuntime
from dify_plugin.interfaces.tool import ToolLike

from llmflow_client.credentials import Credentials, language_of
from llmflow_client.errors import InvokeBadRequestError, LLMFlowError, place_of
from llmflow_client.limits import MOST_BYTES, fit
from llmflow_client.parameters import Parameters
from llmflow_client.server import Server
from llmflow_client.texts import say

log = logging.getLogger(__name__)

_LOG_BYTES = 10_000
_NOTES_BYTES = 100_000
_MESSAGE_BYTES = 4_000_000
"""Of a message's content."""
_RESERVED = ("text", "files", "json")
"""Names Dify refuses for variables: every tool node has outputs of these names, ``text`` made of text messages."""

Messages = Generator[ToolInvokeMessage, None, None]
Status: TypeAlias = ToolInvokeMessage.LogMessage.LogStatus


class LLMFlowTool(ToolLike[ToolInvokeMessage]):
    """A tool that calls the server; failures end as sentences for people, with every step of the log closed.

    To be mixed into a ``Tool``. It is none itself, as the SDK takes the one subclass of ``Tool`` it finds in a module.

    Attributes:
        language: of what people read.
        server: the server of the credentials.
        notes: what users should know of the result, such as a step of the server that failed.
    """

    runtime: ToolRuntime
    language: str
    server: Server
    notes: list[str]

    @abstractmethod
    def run(self, given: Parameters) -> Messages:
        """The tool itself."""

    def _invoke(self, tool_parameters: dict[str, Any]) -> Messages:
        self.language = language_of(self.runtime.credentials)
        self.notes = []
        self._steps: list[tuple[ToolInvokeMessage, float]] = []
        try:
            self.server = Server(Credentials.of(self.runtime.credentials))
            yield from self.run(Parameters(tool_parameters, self.language))
            return
        except LLMFlowError as error:
            # A new one, for Dify is sent what hangs on the old one.
            failure = type(error)(str(error))
        except Exception as error:
            log.error("unexpected error: %s", place_of(error))
            failure = InvokeBadRequestError(self.say("unexpected"))
        yield from self.break_off(str(failure))
        while self._steps:
            yield self._close(Status.ERROR, {}, str(failure))
        raise failure

    def break_off(self, told: str) -> Messages:
        """What is shown before the run fails with the sentence ``told``; nothing, where nothing was shown before."""
        yield from ()

    def say(self, key: str, **values: Any) -> str:
        """A sentence of :mod:`llmflow_client.texts`."""
        return say(self.language, key, **values)

    def step(self, key: str, **data: Any) -> ToolInvokeMessage:
        """Begins a step of the log, within the one that is open."""
        parent = self._steps[-1][0] if self._steps else None
        shown = fit({name: value for name, value in data.items() if value is not None}, _LOG_BYTES)
        started = time.perf_counter()
        metadata = {LogMetadata.STARTED_AT: started}
        message = self.create_log_message(fit(self.say(key, **data), _LOG_BYTES), shown, Status.START, parent, metadata)
        self._steps.append((message, started))
        return message

    def done(self, **data: Any) -> ToolInvokeMessage:
        """Ends the step that is open."""
        return self._close(Status.SUCCESS, fit(data, _LOG_BYTES), None)

    def fitted(self, value: Any, room: int = MOST_BYTES) -> Any:
        """The value, or as much of it as Dify takes; then a note says so."""
        kept = fit(value, room)
        if kept is not value:
            if isinstance(value, list) and len(kept) < len(value):
                self.notes.append(self.say("cut_passages", count=len(value), kept=len(kept)))
            else:
                self.notes.append(self.say("cut_value"))
        return kept

    def note_degradations(self, degradations: list[dict[str, str]]) -> None:
        """Note each stage of the server that failed or was skipped."""
        self.notes += self.fitted([f"{each['stage']}: {each['reason']}" for each in degradations], _NOTES_BYTES)

    def with_notes(self, text: str) -> str:
        """A text with the notes below it."""
        if not self.notes:
            return text
        lines = "\n".join((f"{self.say('notes')}:", *(f"- {note}" for note in self.notes)))
        return f"{text}\n\n{lines}" if text else lines

    def results(self, text: str, json: dict[str, Any], **variables: Any) -> Messages:
        """The result in all three forms; the entries of ``json`` are variables as well. What is too large is cut."""
        kept = fit(json, _MESSAGE_BYTES)
        if kept is not json:
            text = f"{fit(text, _MESSAGE_BYTES)}\n\n{self.say('cut_value')}"
        if text:
            yield self.create_text_message(fit(text, _MESSAGE_BYTES + _LOG_BYTES))
        yield self.create_json_message(kept)
        for name, value in {**kept, **variables}.items():
            if name not in _RESERVED:
                yield self.create_variable_message(name, fit(value, _MESSAGE_BYTES))

    def _close(self, status: Status, data: dict[str, Any], error: str | None) -> ToolInvokeMessage:
        message, started = self._steps.pop()
        finished = time.perf_counter()
        metadata = {
            LogMetadata.STARTED_AT: started,
            LogMetadata.FINISHED_AT: finished,
            LogMetadata.ELAPSED_TIME: finished - started,
        }
        return self.finish_log_message(message, status, error, data, metadata)
