"""``requirements.txt`` of a plugin: one requirement a line, without options."""

from __future__ import annotations

import re
from collections.abc import Iterator

FILE = "requirements.txt"
_COMMENT = re.compile(r"(^|\s)#.*")


def wanted(text: str) -> Iterator[tuple[int, str]]:
    """What the lines of the file ask for, without comments, each with the number of its line from 1."""
    for number, line in enumerate(text.splitlines(), start=1):
        if requirement := _COMMENT.sub("", line).strip():
            yield number, requirement
