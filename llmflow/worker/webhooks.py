"""Calls the webhooks that are due: signed, at least once, retried with growing pauses.

The form is that of Standard Webhooks (standardwebhooks.com), for which receivers have libraries
in every language: the headers ``webhook-id``, the same at every attempt, ``webhook-timestamp`` and
``webhook-signature``.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from sqlalchemy import Engine

from llmflow.errors import LLMFlowError
from llmflow.ingestion.fetch import post
from llmflow.ingestion.guarding import shown
from llmflow.settings import FetchSettings
from llmflow.stores.webhooks import Delivery, WebhookStore

_log = logging.getLogger(__name__)

_PAUSES_S = (5, 30, 120, 600, 3600, 3 * 3600, 6 * 3600, 12 * 3600)
"""Before the second, third, ... attempt; the last before all further ones."""
_ANSWER_S = 10.0
_LEASE = timedelta(seconds=60)
_AT_ONCE = 4
_BATCH = 16
_GONE = 410
_KEPT = timedelta(days=7)
_PRUNE_EVERY_S = 3600.0


class WebhookSender:
    """Sends webhooks. Any number of processes may; each attempt is made by one.

    Args:
        engine: the metadata database's.
    """

    def __init__(self, engine: Engine, settings: FetchSettings) -> None:
        self._store = WebhookStore(engine)
        self._settings = settings
        self._pruned = float("-inf")

    def deliver_due(self) -> int:
        """Send what is due, and wait for the answers, 10 s at most for each; how many arrived."""
        if time.monotonic() - self._pruned > _PRUNE_EVERY_S:
            self._store.prune(_KEPT)
            self._pruned = time.monotonic()
        deliveries = self._store.claim(_BATCH, _LEASE)
        if not deliveries:
            return 0
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="webhook") as pool:
            return sum(pool.map(self._deliver, deliveries))

    def _deliver(self, delivery: Delivery) -> bool:
        """One attempt, and what comes of it."""
        problem = status = None
        try:
            status = self._send(delivery)
            if not 200 <= status < 300:
                problem = f"the receiver answers with status {status}"
        except LLMFlowError as error:
            problem = error.message
        if problem is None:
            self._store.delivered(delivery)
            return True
        if status == _GONE or delivery.attempt >= self._settings.webhook_attempts:
            self._store.failed(delivery, problem, None)
            _log.warning(
                "webhook %s of job %s to %s given up after %d attempts: %s",
                delivery.id,
                delivery.job_id,
                shown(delivery.url),
                delivery.attempt,
                problem,
            )
        else:
            pause = _PAUSES_S[min(delivery.attempt, len(_PAUSES_S)) - 1]
            self._store.failed(delivery, problem, timedelta(seconds=pause))
        return False

    def _send(self, delivery: Delivery) -> int:
        timestamp = int(time.time())
        body = delivery.body.encode()
        headers = {
            "Content-Type": "application/json",
            "webhook-id": delivery.id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": sign(self._store.secret(delivery.tenant), delivery.id, timestamp, body),
        }
        return post(delivery.url, body, headers, self._settings, _ANSWER_S)


def sign(secret: str, id: str, timestamp: int, body: bytes) -> str:
    """The signature of a message by Standard Webhooks 1.0: ``v1,`` and an HMAC-SHA-256 in Base64.

    Args:
        secret: ``whsec_`` and the key in Base64.
        timestamp: seconds since 1970.
    """
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = b".".join((id.encode(), str(timestamp).encode(), body))
    return f"v1,{base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()}"
