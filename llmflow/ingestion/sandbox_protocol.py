"""What the two sides of the sandbox agree on.

A request is one line of JSON. The answer is the child's JSON followed by a trailer of
fixed size that the child's supervisor writes after the child has ended.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

TRAILER = struct.Struct("<iidd")


class Ending(IntEnum):
    """How a child ended."""

    DONE = 0
    TIMEOUT = 1
    MEMORY = 2
    CRASH = 3


@dataclass(frozen=True, slots=True)
class Trailer:
    """Ending, signal number (0 if none), wall-clock seconds and peak resident MiB."""

    ending: Ending
    signal: int
    seconds: float
    peak_mb: float

    def pack(self) -> bytes:
        return TRAILER.pack(self.ending, self.signal, self.seconds, self.peak_mb)

    @classmethod
    def unpack(cls, data: bytes) -> Trailer:
        ending, signal, seconds, peak_mb = TRAILER.unpack(data)
        return cls(Ending(ending), signal, seconds, peak_mb)
