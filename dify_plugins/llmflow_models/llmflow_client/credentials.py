"""What an administrator types into Dify, checked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx
from dify_plugin.errors.model import InvokeAuthorizationError, InvokeBadRequestError

from llmflow_client.texts import LANGUAGES, say

LONGEST_TIMEOUT_S = 230
"""Dify gives up on a plugin a little later than this."""
_DEFAULT_TIMEOUT_S = 60.0
_PASTED = re.compile(r"(/v1(/.*)?|/retrieval)?/*$")
"""What is often copied along with an address."""


@dataclass(frozen=True)
class Credentials:
    """Where the server is and how to call it.

    Attributes:
        base_url: address without a slash at its end.
        language: ``ko`` or ``en``, of messages that people read.
        timeout_s: seconds a call may take; while an answer streams, its longest silence.
    """

    base_url: str
    api_key: str
    language: str
    timeout_s: float

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Credentials:
        """From the credentials Dify sends.

        Raises:
            InvokeBadRequestError: address, language or timeout is none.
            InvokeAuthorizationError: the key cannot be one.
        """
        language = str(values.get("language") or "ko")
        if language not in LANGUAGES:
            raise InvokeBadRequestError(say("ko", "bad_language", value=language))
        base_url = _base_url(str(values.get("base_url") or "").strip(), language)
        api_key = str(values.get("api_key") or "").strip()
        if not (api_key.isascii() and api_key.isprintable() and api_key):
            raise InvokeAuthorizationError(say(language, "unauthorized"))
        return cls(base_url, api_key, language, _timeout_s(values.get("timeout_s"), language))

    def say(self, key: str, **values: Any) -> str:
        """A sentence of :mod:`llmflow_client.texts` in the administrator's language."""
        return say(self.language, key, **values)


def _base_url(address: str, language: str) -> str:
    try:
        parts = urlsplit(address)
        is_address = bool(httpx.URL(address).host.encode("idna")) and parts.port != 0
    except (ValueError, httpx.InvalidURL):
        is_address = False
    if (
        not is_address
        or parts.scheme not in ("http", "https")
        or parts.username is not None
        or parts.query
        or parts.fragment
        or re.search(r"\s", address)
    ):
        raise InvokeBadRequestError(say(language, "bad_address", value=_without_user(address)))
    return f"{parts.scheme}://{parts.netloc}{_PASTED.sub('', parts.path, count=1)}"


def _without_user(address: str) -> str:
    """The address without a user's name and password, which no message may show."""
    _, at, host = address.rpartition("@")
    return f"…@{host}" if at else address


def _timeout_s(value: Any, language: str) -> float:
    if value is None or not str(value).strip():
        return _DEFAULT_TIMEOUT_S
    try:
        timeout_s = float(value)
    except (TypeError, ValueError):
        timeout_s = 0.0
    if not 1 <= timeout_s <= LONGEST_TIMEOUT_S:
        raise InvokeBadRequestError(say(language, "bad_timeout", value=value, most=LONGEST_TIMEOUT_S))
    return timeout_s
