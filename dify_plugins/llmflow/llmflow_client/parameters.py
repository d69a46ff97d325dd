"""What Dify passes to a tool: numbers as numbers or texts, nothing as null or as an empty text."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from llmflow_client.errors import InvokeBadRequestError
from llmflow_client.foreign_json import clean, cleaned, read
from llmflow_client.texts import say

RERANKING = ("default", "llm", "cross_encoder", "none")
"""What ranks passages, the server's setting first."""
_TRUE = ("true", "1", "yes", "y", "on")
_FALSE = ("false", "0", "no", "n", "off")
_SHOWN = 80
"""Characters of a bad value that are shown."""


class Parameters:
    """The parameters of one run, read by name. A value that will not do is an :class:`InvokeBadRequestError`."""

    def __init__(self, values: Mapping[str, Any], language: str) -> None:
        self._values = values
        self._language = language

    def raw(self, name: str) -> Any:
        """As it came; None for what was left empty."""
        value = self._values.get(name)
        return None if isinstance(value, str) and not value.strip() else value

    def text(self, name: str, most: int, stripped: bool = True) -> str:
        """A text of 1 to ``most`` characters, without space around it unless that is to be kept."""
        text = self.optional_text(name, most, stripped)
        if text is None:
            raise self._error("missing", name)
        return text

    def optional_text(self, name: str, most: int, stripped: bool = True) -> str | None:
        """As :meth:`text`, if there is one."""
        value = self.raw(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            raise self._error("not_a_text", name)
        text = clean(str(value).strip() if stripped else str(value))
        if len(text) > most:
            raise self._error("too_long", name, length=len(text), most=most)
        return text

    def number(self, name: str, least: float, most: float) -> float | None:
        """A number between two others, if there is one; 0 is one."""
        return self._number(name, "not_a_number", least, most)

    def whole_number(self, name: str, least: int, most: int) -> int | None:
        """A whole number between two others, if there is one; 5.0 is one."""
        number = self._number(name, "not_whole", least, most)
        if number is None:
            return None
        if number != int(number):
            raise self._error("not_whole", name, value=number, least=least, most=most)
        return int(number)

    def flag(self, name: str, default: bool) -> bool:
        """True or false, however it is written."""
        value = self.raw(name)
        if value is None:
            return default
        word = str(value).strip().lower()
        if word not in _TRUE + _FALSE:
            raise self._error("not_a_flag", name, value=word[:_SHOWN])
        return word in _TRUE

    def choice(self, name: str, allowed: Sequence[str]) -> str:
        """One of several words; the first if none was chosen."""
        value = self.raw(name)
        if value is None:
            return allowed[0]
        if value not in allowed:
            raise self._error("not_a_choice", name, value=str(value)[:_SHOWN], allowed=", ".join(allowed))
        return str(value)

    def names(self, name: str) -> list[str] | None:
        """Names separated by commas, or a list of them, if there are any."""
        value = self.raw(name)
        if value is None:
            return None
        if not isinstance(value, (str, list)):
            raise self._error("not_a_text", name)
        parts = value.split(",") if isinstance(value, str) else map(str, value)
        return [clean(part.strip()) for part in parts if part.strip()] or None

    def metadata_filter(self, name: str) -> dict[str, Any] | None:
        """Dify's ``metadata_condition``, written as such or as ``{key: value}``, if there is one."""
        value = self.raw(name)
        try:
            value = read(value) if isinstance(value, str) else cleaned(value)
        except json.JSONDecodeError as error:
            raise self._bad_filter("filter_no_json", line=error.lineno, column=error.colno) from None
        except ValueError:
            raise self._bad_filter("filter_unreadable") from None
        if value is None or value == {}:
            return None
        if not isinstance(value, dict):
            raise self._bad_filter("filter_no_object")
        if "conditions" not in value:
            return {"conditions": [self._condition(key, wanted) for key, wanted in value.items()]}
        conditions = value["conditions"]
        if not isinstance(conditions, list) or not all(map(_is_condition, conditions)):
            raise self._bad_filter("filter_no_condition")
        return value

    def _condition(self, key: str, wanted: Any) -> dict[str, Any]:
        is_list = isinstance(wanted, list)
        if not all(isinstance(each, (str, int, float)) for each in (wanted if is_list else [wanted])):
            raise self._bad_filter("filter_no_value", field=key[:_SHOWN])
        return {"name": key, "comparison_operator": "in" if is_list else "is", "value": wanted}

    def _number(self, name: str, problem: str, least: float, most: float) -> float | None:
        value = self.raw(name)
        if value is None:
            return None
        try:
            number = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if not least <= number <= most:
            raise self._error(problem, name, value=str(value)[:_SHOWN], least=least, most=most)
        return number

    def _error(self, key: str, name: str, **values: Any) -> InvokeBadRequestError:
        shown = f"{say(self._language, name)}({name})" if self._language == "ko" else (
            f"{say(self._language, name)} ({name})"
        )  # fmt: skip
        return InvokeBadRequestError(say(self._language, key, name=shown, **values))

    def _bad_filter(self, problem: str, **values: Any) -> InvokeBadRequestError:
        return InvokeBadRequestError(say(self._language, "bad_filter", problem=say(self._language, problem, **values)))


def _is_condition(value: Any) -> bool:
    return isinstance(value, dict) and "name" in value and isinstance(value.get("comparison_operator"), str)
