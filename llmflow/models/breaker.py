"""A circuit breaker (Nygard, "Release It!", 2018).

A server that keeps failing is left alone for a while, so that nobody waits for it and it gets
time to recover.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Literal

from llmflow.settings import CallSettings

BreakerState = Literal["closed", "open", "half-open"]


class CircuitBreaker:
    """Closed until a server fails too often; then open, and half-open while one call tries it again.

    Ask :meth:`wait_s` before a call; tell :meth:`succeeded`, :meth:`failed` or :meth:`undecided`
    after it. A call that ends without telling (its user went away) costs nothing: an open breaker
    lets the next one try after a further pause. Safe between threads.

    Args:
        settings: ``breaker_failures`` within ``breaker_window_s`` open it for ``breaker_pause_s``.
        clock: monotonic seconds.
    """

    def __init__(self, settings: CallSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._lock = threading.Lock()
        self._failures: deque[float] = deque(maxlen=settings.breaker_failures)
        self._opens_at: float | None = None
        self._trying = False

    @property
    def state(self) -> BreakerState:
        """``half-open`` while the one call is under way that shows whether the server works again."""
        with self._lock:
            if self._opens_at is None:
                return "closed"
            return "half-open" if self._trying else "open"

    def wait_s(self) -> float:
        """0 where a call may be made now; otherwise the seconds until one may try."""
        with self._lock:
            if self._opens_at is None:
                return 0.0
            now = self._clock()
            if now < self._opens_at:
                return self._opens_at - now
            self._trying = True
            self._opens_at = now + self._settings.breaker_pause_s
            return 0.0

    def succeeded(self) -> None:
        """The server answered: whatever was wrong is over."""
        with self._lock:
            if self._opens_at is not None:
                self._failures.clear()
            self._opens_at, self._trying = None, False

    def undecided(self) -> None:
        """The call shows nothing of the server: an open breaker lets the next one try at once."""
        with self._lock:
            if self._trying:
                self._opens_at, self._trying = self._clock(), False

    def failed(self) -> None:
        """The server failed, or did not answer in time."""
        with self._lock:
            now = self._clock()
            if self._opens_at is not None:
                if self._trying:
                    self._opens_at, self._trying = now + self._settings.breaker_pause_s, False
                return
            self._failures.append(now)
            full = len(self._failures) == self._settings.breaker_failures
            if full and now - self._failures[0] <= self._settings.breaker_window_s:
                self._opens_at = now + self._settings.breaker_pause_s
