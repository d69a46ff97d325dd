"""Numbers in brackets that point to passages, in what tools and models write."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Mapping

_NUMBERS = r"[1-9]\d{0,2}(?:\s*[-–~]\s*[1-9]\d{0,2})?"
# Code in backticks comes first, for its brackets are no citations. Models of OpenAI write 【1†source】 at times.
_MARK = re.compile(rf"`[^`\n]*`|[\[【]({_NUMBERS}(?:\s*,\s*{_NUMBERS})*)(?:†[^\]】]{{0,40}})?[\]】]")
# What may yet become one of these, at the end of a text: found as a group, beside code that has ended.
_BEGUN = re.compile(
    r"`[^`\n]*`|((?:`[^`\n]{0,200}|[\[【][\d,\s–~-]{0,40}(?:†[^\]】]{0,40})?|<(?:t(?:h(?:i(?:n(?:k)?)?)?)?)?)\Z)"
)
_OPEN, _CLOSE = "<think>", "</think>"


def renumber(text: str, numbers: Mapping[int, int]) -> str:
    """The text with its citations under other numbers; those without one are left out."""
    return _rewrite(text, numbers.get)


def _rewrite(text: str, number_of: Callable[[int], int | None]) -> str:
    def marks(match: re.Match[str]) -> str:
        if match[1] is None:
            return match[0]
        numbers = [number_of(number) for part in match[1].split(",") for number in _counted(part)]
        return "".join(f"[{number}]" for number in dict.fromkeys(numbers) if number is not None)

    return _MARK.sub(marks, text)


def _counted(part: str) -> range:
    """``3`` as it is, ``1-3`` as the numbers from the first to the last."""
    first, *last = map(int, re.findall(r"\d+", part))
    return range(first, max(last, default=first) + 1)


class AnswerStream:
    """An answer as it comes: without thoughts, and without citations of passages that do not exist.

    Args:
        known: numbers that may be cited.
        thinking: the answer begins amid thoughts.

    Attributes:
        cited: numbers cited so far, in order.
        dropped: numbers left out so far.
        unfinished: the answer ended amid thoughts, once it is closed.
    """

    def __init__(self, known: Container[int], *, thinking: bool = False) -> None:
        self.cited: list[int] = []
        self.dropped: list[int] = []
        self._known = known
        self._held = ""
        self.unfinished = False
        self._thinking = thinking
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
                begun = next((found for found in _BEGUN.finditer(self._held) if found[1]), None)
                cut = begun.start() if begun else len(self._held)
                shown += _rewrite(self._held[:cut], self._cite)
                self._held = self._held[cut:]
                return self._show(shown)
            shown += _rewrite(before, self._cite)
            self._held, self._thinking = after, True

    def close(self) -> str:
        """What was held back to the end."""
        self.unfinished = self._thinking
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
