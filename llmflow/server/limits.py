"""Rate limits of credentials, and of addresses that send bad ones."""

from __future__ import annotations

import logging

from llmflow.errors import RateLimitedError, UpstreamError
from llmflow.schema import Principal
from llmflow.settings import AuthSettings
from llmflow.stores.keyvalue import KeyValueStore

log = logging.getLogger(__name__)

_FAILURES_PER_MINUTE = 30
_FAILURES_BURST = 20


class RateLimiter:
    """Token buckets in the key-value store, shared by every process that uses it.

    A store that does not answer lets everybody pass; both methods tell so.
    """

    def __init__(self, store: KeyValueStore, settings: AuthSettings) -> None:
        self._store = store
        self._settings = settings
        self._answers = True

    def request(self, principal: Principal) -> bool:
        """Count a request of a credential; False where the store did not answer.

        Raises:
            RateLimitedError: it makes more than it may.
        """
        name = "\x1f".join(("requests", principal.scope.tenant, principal.subject))
        return self._take(name, self._settings.requests_per_minute, self._settings.burst, "requests with this key")

    def failure(self, address: str) -> bool:
        """Count a bad credential from a client's address; False where the store did not answer.

        Good credentials from the same address are not held up by bad ones: whole companies
        share an address, and a key cannot be guessed anyway.

        Raises:
            RateLimitedError: it sends more than it may.
        """
        return self._take(
            f"failures\x1f{address}", _FAILURES_PER_MINUTE, _FAILURES_BURST, "requests with bad credentials"
        )

    def _take(self, name: str, per_minute: float, burst: int, what: str) -> bool:
        try:
            permit = self._store.take(f"limit\x1f{name}", per_minute, burst)
        except UpstreamError as error:
            if self._answers:
                log.warning("rate limits are off: %s", error.message)
            self._answers = False
            return False
        if not self._answers:
            log.warning("rate limits are on again")
        self._answers = True
        if not permit.granted:
            raise RateLimitedError(
                f"too many {what}; allowed are {per_minute} a minute and {burst} at once",
                retry_after_s=round(permit.retry_after_s, 3),
            )
        return True
