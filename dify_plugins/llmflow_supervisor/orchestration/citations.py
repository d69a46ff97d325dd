"""Numbers in brackets that point to passages, in what tools and models write."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Mapping

# Models of OpenAI write 【1†source】 at times.
_MARK = re.compile(r"[\[【]([1-9]\d{0,2}(?:\s*,\s*[1-9]\d{0,2})*)(?:†[^\]】]{0,40})?[\]】]")
_BEGUN = re.compile(r"(?:[\[【][\d,\s]{0,40}(?:†[^\]】]{0,40})?|<(?:t(?:h(?:i(?:n(?:k)?)?)?)?)?)\Z")
_OPEN, _CLOSE = "<think>", "</think>"


def renumber(text: str, numbers: Mapping[int, int]) -> str:
    """The text with its citations under other numbers; those without one are left out."""
    return _rewrite(text, numbers.get)


def _rewrite(text: str, number_of: Callable[[int], int | None]) -> str:
    def marks(match: re.Match[str]) -> str:
        numbers = [number_of(int(number)) for number in match[1].split(",")]
        return "".join(f"[{number}]" for number in dict.fromkeys(numbers) if number is not None)

    return _MARK.sub(marks, text)


class AnswerStream:
    """An answer as it comes: without thoughts, and without citations of passages that do not exist.

    Args:
        known: numbers that may be cited.

    Attributes:
        cited: numbers cited so far, in order.
        dropped: numbers left out so far.
    """

    def __init__(self, known: Container[int]) -> None:
        self.cited: list[int] = []
        self.dropped: list[int] = []
        self._known = known
        self._held = ""
        self._thinking = False
        self._begun = False

    def feed(self, piece: str) -> str:
        """What of the answer can be shown after another piece; what may yet become a mark is held back."""
        self._held += piece
        shown = ""
        while True:
            if self._thinking:
                _, closed, after = self._held.partition(_CLOSE)
                if not closed:
                    self._held = self._held[-len(_CLOSE) :]
                    return self._show(shown)
                self._held, self._thinking = after, False
            before, opened, after = self._held.partition(_OPEN)
            if not opened:
                begun = _BEGUN.search(self._held)
                cut = begun.start() if begun else len(self._held)
                shown += _rewrite(self._held[:cut], self._cite)
                self._held = self._held[cut:]
                return self._show(shown)
            shown += _rewrite(before, self._cite)
            self._held, self._thinking = after, True

    def close(self) -> str:
        """What was held back to the end."""
        rest = "" if self._thinking else _rewrite(self._held, self._cite)
        self._held = ""
        return self._show(rest)

    def _show(self, text: str) -> str:
        if not self._begun:
            text = text.lstrip()
            self._begun = bool(text)
        return text

    def _cite(self, number: int) -> int | None:
        known = number in self._known
        numbers = self.cited if known else self.dropped
        if number not in numbers:
            numbers.append(number)
        return number if known else None
