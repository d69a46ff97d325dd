"""Dify's External Knowledge API, passed on to the server: for sites where Dify itself cannot call it.

Form: https://docs.dify.ai/en/guides/knowledge-base/external-knowledge-api. Dify sends the endpoint's own key;
the LLMFlow key stays here. When a knowledge base is registered, Dify takes 403, 404 and 502 for a refusal and
anything else for consent, so that every failure on the way to the server is a 502 unless the server says more.
"""

from __future__ import annotations

import hmac
import json
import logging
from collections.abc import Iterator, Mapping
from typing import Any

from dify_plugin import Endpoint
from llmflow_client.credentials import Credentials
from llmflow_client.errors import InvokeAuthorizationError, LLMFlowError, place_of
from llmflow_client.server import Server
from werkzeug import Request, Response

log = logging.getLogger(__name__)

_BAD_HEADER, _NOT_AUTHORISED = 1001, 1002
_PIECE = 1_000_000
"""Bytes of a body in one message to Dify, which writes each as two digits."""


class Retrieval(Endpoint):
    """``POST /retrieval``."""

    def _invoke(self, r: Request, values: Mapping[str, Any], settings: Mapping[str, Any]) -> Response:
        try:
            scheme, _, key = r.headers.get("Authorization", "").partition(" ")
            if scheme.lower() != "bearer" or not key.strip():
                return _error(403, _BAD_HEADER, "send the header Authorization: Bearer KEY")
            access_key = str(settings.get("access_key") or "").strip()
            if not access_key or not hmac.compare_digest(key.strip().encode(), access_key.encode()):
                return _error(403, _NOT_AUTHORISED, "the key is not the access key of this endpoint")
            return _passed_on(r.get_data(), settings)
        except LLMFlowError as error:
            status = error.status or 502
            return _error(status, status, str(error))
        except Exception as error:
            log.error("unexpected error: %s", place_of(error))
            return _error(502, 502, "something unexpected failed inside the LLMFlow plugin; its log has more")


def _passed_on(body: bytes, settings: Mapping[str, Any]) -> Response:
    """The server's response to a request of Dify's.

    Raises:
        LLMFlowError: the settings will not do, or something other than LLMFlow answers.
    """
    server = Server(Credentials.of({**settings, "language": "en"}))
    headers = {"Content-Type": "application/json"} if body else {}
    reply = server.exchange("POST", "/retrieval", content=body, headers=headers)
    answer = reply.json
    if not isinstance(answer, dict) or not ("records" in answer if reply.status == 200 else "error_code" in answer):
        raise server.refusal(reply)
    if reply.status in (401, 403):
        raise InvokeAuthorizationError(
            f"the LLMFlow key in the settings of this endpoint is refused: {answer['error_msg']}"
        )
    kept = {name: reply.headers[name] for name in ("Retry-After",) if name in reply.headers}
    return _response(reply.status, reply.content, kept)


def _error(status: int, code: int, message: str) -> Response:
    content = json.dumps({"error_code": code, "error_msg": message}, ensure_ascii=False).encode()
    return _response(status, content, {})


def _response(status: int, content: bytes, headers: Mapping[str, str]) -> Response:
    """In pieces, as a whole body might not fit into a message."""
    pieces: Iterator[bytes] = (content[start : start + _PIECE] for start in range(0, len(content), _PIECE))
    return Response(pieces, status, headers, content_type="application/json")
