"""What was said in a session, in the key-value store."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass

from pydantic import TypeAdapter

from llmflow.conversation.messages import FORMAT, ChatMessage, decode, encode
from llmflow.errors import InvalidInputError
from llmflow.schema import Principal
from llmflow.settings import ChatSettings
from llmflow.stores.keyvalue.protocol import KeyValueStore

_SESSION = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class Summary:
    """What the older part of a session was about; ``until`` is the id of the last message it covers."""

    text: str
    until: str


class History:
    """The messages of sessions; each belongs to one user with one set of departments.

    A session lives ``settings.ttl_s`` after its last message and keeps its last
    ``settings.max_messages``. Whoever loses or gains a department starts anew: what was
    answered from documents that may no longer be read cannot be reached any more.

    Raises:
        UpstreamError: the store does not answer (every method).
    """

    def __init__(self, store: KeyValueStore, settings: ChatSettings) -> None:
        self._store = store
        self._settings = settings

    def append(self, principal: Principal, session: str, *messages: ChatMessage) -> None:
        """Add messages, oldest first; the session lives on from now."""
        key, ttl_s = session_key(principal, session), self._settings.ttl_s
        self._store.push(key, [encode(message) for message in messages], ttl_s, self._settings.max_messages)
        if (summary := self._store.get(_summary_key(key))) is not None:
            self._store.set(_summary_key(key), summary, ttl_s)

    def messages(self, principal: Principal, session: str) -> list[ChatMessage]:
        """All messages, oldest first; none for a session that does not exist."""
        return [decode(data) for data in self._store.items(session_key(principal, session))]

    def summary(self, principal: Principal, session: str) -> Summary | None:
        """The summary of what is no longer sent to the model, if there is one."""
        data = self._store.get(_summary_key(session_key(principal, session)))
        return None if data is None else _SUMMARY.validate_json(data)

    def summarize(self, principal: Principal, session: str, summary: Summary) -> None:
        """Write the summary in place of the one before."""
        key = _summary_key(session_key(principal, session))
        self._store.set(key, _SUMMARY.dump_json(summary), self._settings.ttl_s)

    def clear(self, principal: Principal, session: str) -> None:
        """Forget a session."""
        key = session_key(principal, session)
        self._store.delete(key, _summary_key(key))


def session_key(principal: Principal, session: str) -> str:
    """The key of a session: a hash over tenant, departments, user and session, which nobody else can make.

    Raises:
        InvalidInputError: ``session`` is no session id.
    """
    if not _SESSION.fullmatch(session):
        raise InvalidInputError(
            f"{session[:80]!r} is no session id; use 1 to 64 letters, digits, - and _", param="session"
        )
    scope = principal.scope
    owner = json.dumps([scope.tenant, sorted(set(scope.departments)), principal.subject, session])
    return f"chat:{FORMAT}:{hashlib.sha256(owner.encode()).hexdigest()}"


def _summary_key(key: str) -> str:
    return f"{key}:summary"


_SUMMARY: TypeAdapter[Summary] = TypeAdapter(Summary)
