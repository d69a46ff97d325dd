"""What an administrator types into Dify, checked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

from llmflow_client.errors import InvokeBadRequestError
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
        timeout_s: seconds that all a tool does may take.
    """

    base_url: str
    api_key: str
    language: str
    timeout_s: float

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Credentials:
        """From what Dify sends.

        Raises:
            InvokeBadRequestError: address, key or time limit is none.
        """
        language = language_of(values)
        return cls(
            _base_url(str(values.get("base_url") or "").strip(), language),
            _api_key(str(values.get("api_key") or "").strip(), language),
            language,
            _timeout_s(values.get("timeout_s"), language),
        )

    def say(self, key: str, **values: Any) -> str:
        """A sentence of :mod:`llmflow_client.texts` in the language of the credentials."""
        return say(self.language, key, **values)


def language_of(values: Mapping[str, Any]) -> str:
    """The language of the messages: Korean unless English was chosen."""
    language = values.get("language")
    return language if language in LANGUAGES else LANGUAGES[0]


def _base_url(address: str, language: str) -> str:
    if not address:
        raise InvokeBadRequestError(say(language, "missing_address"))
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
        raise InvokeBadRequestError(say(language, "bad_address", address=_without_user(address)[:200]))
    return f"{parts.scheme}://{parts.netloc}{_PASTED.sub('', parts.path, count=1)}"


def _without_user(address: str) -> str:
    """The address without a user's name and password, which no message may show."""
    _, at, host = address.rpartition("@")
    return f"…@{host}" if at else address


def _api_key(key: str, language: str) -> str:
    if not key:
        raise InvokeBadRequestError(say(language, "missing_key"))
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise InvokeBadRequestError(say(language, "bad_key"))
    return key


def _timeout_s(value: Any, language: str) -> float:
    if value is None or not str(value).strip():
        return _DEFAULT_TIMEOUT_S
    try:
        timeout_s = float(value)
    except (TypeError, ValueError):
        timeout_s = 0.0
    if not 1 <= timeout_s <= LONGEST_TIMEOUT_S:
        raise InvokeBadRequestError(say(language, "bad_timeout", value=str(value)[:50], most=LONGEST_TIMEOUT_S))
    return timeout_s
