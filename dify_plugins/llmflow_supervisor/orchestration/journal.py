"""The log of a run as Dify shows it: nested lines that open, and always close again."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from dify_plugin.entities.agent import AgentInvokeMessage
from dify_plugin.entities.invoke_message import InvokeMessage
from dify_plugin.entities.model.llm import LLMUsage
from dify_plugin.entities.provider_config import LogMetadata

from orchestration.usage import plus

Send = Callable[[AgentInvokeMessage], None]

_Log = InvokeMessage.LogMessage
_Status: TypeAlias = InvokeMessage.LogMessage.LogStatus
_LONGEST = 2_000


@dataclass
class Entry:
    """A line of the log. What is set on it is shown when it closes; an ``error`` makes it a failed one."""

    label: str
    parent: Entry | None
    provider: str
    data: dict[str, Any]
    error: str | None = None
    usage: LLMUsage = field(default_factory=LLMUsage.empty_usage)
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    _started_at: float = field(default_factory=time.perf_counter)

    def spend(self, usage: LLMUsage) -> None:
        """Add a model call's usage, here and in the lines this one is nested in."""
        self.usage = plus(self.usage, usage)
        if self.parent is not None:
            self.parent.spend(usage)

    def message(self, status: _Status) -> AgentInvokeMessage:
        """The line as Dify is sent it; ``metadata`` is never null, which workflows fail on."""
        metadata: dict[LogMetadata, Any] = {LogMetadata.STARTED_AT: self._started_at}
        if self.provider:
            metadata[LogMetadata.PROVIDER] = self.provider
        if status is not _Status.START:
            now = time.perf_counter()
            metadata |= {LogMetadata.FINISHED_AT: now, LogMetadata.ELAPSED_TIME: now - self._started_at}
        if self.usage.total_tokens:
            metadata |= {
                LogMetadata.TOTAL_TOKENS: self.usage.total_tokens,
                LogMetadata.TOTAL_PRICE: float(self.usage.total_price),
                LogMetadata.CURRENCY: self.usage.currency,
            }
        return AgentInvokeMessage(
            type=AgentInvokeMessage.MessageType.LOG,
            message=_Log(
                id=self.id,
                label=self.label,
                parent_id=self.parent.id if self.parent else None,
                status=status,
                error=self.error,
                data=_excerpt(self.data),
                metadata=metadata,
            ),
        )


class Journal:
    """Writes the log of one run."""

    def __init__(self, send: Send) -> None:
        self._send = send

    @contextmanager
    def entry(
        self, label: str, parent: Entry | None = None, *, provider: str = "", data: Mapping[str, Any] | None = None
    ) -> Iterator[Entry]:
        """A line that is open for as long as the block runs; an exception out of it closes it as failed."""
        entry = Entry(label, parent, provider, dict(data or {}))
        self._send(entry.message(_Status.START))
        try:
            yield entry
        except BaseException as error:
            entry.error = str(error) or type(error).__name__
            raise
        finally:
            self._send(entry.message(_Status.ERROR if entry.error else _Status.SUCCESS))


def _excerpt(value: Any) -> Any:
    """The value with its long texts cut: the log is for looking at."""
    match value:
        case str() if len(value) > _LONGEST:
            return f"{value[:_LONGEST]}… ({len(value):,})"
        case dict():
            return {key: _excerpt(each) for key, each in value.items()}
        case list():
            return [_excerpt(each) for each in value]
    return value
