"""A register of licences and release dates: entries shipped with the package, and the user's own before them."""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Literal, get_args

import yaml

from distillm2.errors import DistillationError

SHIPPED = Path(__file__).with_name("licences.yaml")
USERS = "distillm2_licences.yaml"
Permission = Literal["allowed", "conditions", "forbidden", "unknown"]
KINDS = ("model", "service", "data")
REQUIRED = ("names", "kind", "licence", "released", "commercial", "distillation", "source")
KEYS = (*REQUIRED, "checked", "note")
NOT_CHECKED = "not checked"
ALIAS_KEYS = ("names", "same_as", "note")
DATE = re.compile(r"(\d{4})-(\d{2})(?:-(\d{2}))?")
EASTERNMOST = timezone(timedelta(hours=14))


@dataclass(frozen=True)
class Entry:
    """What is known of one or more models, services or data sets.

    ``names`` are exact, or patterns in which * stands for characters other than /. ``released`` is the day of
    publication, a month's last day where only the month is recorded, None where there is none. ``checked``: when the
    licence and the date were last compared with the source, or that they were not. ``same_as``: the names are copies
    of the one given there. ``where`` is file:line.
    """

    names: tuple[str, ...]
    where: str
    kind: str = ""
    licence: str = ""
    released: date | None = None
    commercial: Permission = "unknown"
    distillation: Permission = "unknown"
    source: str = ""
    checked: str = NOT_CHECKED
    note: str = ""
    same_as: str = ""

    def matches(self, name: str) -> int:
        """2 for the exact name, 1 for a pattern, 0 for neither."""
        if name in self.names:
            return 2
        return int(any("*" in pattern and _pattern(pattern).fullmatch(name) for pattern in self.names))


@dataclass(frozen=True)
class Register:
    """Entries in the order in which they count."""

    entries: tuple[Entry, ...]
    own: int

    @classmethod
    def load(cls, file: Path | None = None) -> Register:
        """The shipped register behind the user's: ``file``, or ``distillm2_licences.yaml`` where there is one.

        Raises DistillationError, with file and line, for entries that are not well formed.
        """
        if file is not None and not file.is_file():
            raise DistillationError(
                f"No register {file}; `distillm2 licence add NAME --register {file} ...` begins one"
            )
        users = file or Path(USERS)
        own = read_register(users) if users.is_file() else ()
        return cls((*own, *read_register(SHIPPED)), len(own))

    def find(self, name: str) -> Entry | None:
        """The entry of a name, copies followed to the original; the user's come first, exact names before patterns.

        Raises DistillationError where two patterns match, or a copy's original is unknown or a copy itself.
        """
        for entries in (self.entries[: self.own], self.entries[self.own :]):
            for strength in (2, 1):
                found = [entry for entry in entries if entry.matches(name) == strength]
                if len(found) > 1:
                    places = " and ".join(entry.where for entry in found)
                    raise DistillationError(f"{name} is in the register twice, {places}: take one of them out")
                if found:
                    return self._original(found[0])
        return None

    def _original(self, entry: Entry) -> Entry:
        if not entry.same_as:
            return entry
        found = [other for other in self.entries if other.matches(entry.same_as) and not other.same_as]
        if not found:
            raise DistillationError(f"{entry.where}: same_as {entry.same_as!r} is not in the register")
        return found[0]


def read_register(file: Path) -> tuple[Entry, ...]:
    """The entries of one YAML file; DistillationError with file and line where something is wrong.

    Days to come are refused in all files but the shipped one, which a clock that is behind must not make useless.
    """
    try:
        root = yaml.compose(file.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise DistillationError(f"{file}:{line}: not valid YAML: {error.problem}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DistillationError(f"{file}: not valid YAML: {error}") from error
    if root is None:
        return ()
    if not isinstance(root, yaml.SequenceNode):
        raise DistillationError(f"{_at(file, root)}: a register is a list of entries that begin with `- names:`")
    today = date.max if file == SHIPPED else datetime.now(EASTERNMOST).date()
    entries = tuple(_entry(file, node, today) for node in root.value)
    _refuse_repeated(entries)
    return entries


def parse_release(text: str, where: str) -> date | None:
    """``2025-04-29``, ``2025-04`` (its last day) or ``unknown`` (None)."""
    if text == "unknown":
        return None
    match = DATE.fullmatch(text)
    try:
        if match is None:
            raise ValueError
        year, month = int(match[1]), int(match[2])
        return date(year, month, int(match[3]) if match[3] else calendar.monthrange(year, month)[1])
    except (ValueError, calendar.IllegalMonthError):
        raise DistillationError(
            f"{where}: {text!r} is no date; write 2025-04-29, 2025-04 or, for a release, unknown"
        ) from None


def _entry(file: Path, node: Any, today: date) -> Entry:
    where = _at(file, node)
    if not isinstance(node, yaml.MappingNode):
        raise DistillationError(f"{where}: an entry has the keys {', '.join(KEYS)}")
    values: dict[str, Any] = {}
    for key, value in node.value:
        if key.value not in (*KEYS, "same_as"):
            raise DistillationError(f"{_at(file, key)}: unknown key {key.value!r}; known: {', '.join(KEYS)}, same_as")
        if key.value in values:
            raise DistillationError(f"{_at(file, key)}: {key.value} stands twice in one entry")
        values[key.value] = _names(file, value) if key.value == "names" else _text(file, key.value, value)
    alias = "same_as" in values
    allowed, required = (ALIAS_KEYS, ALIAS_KEYS[:2]) if alias else (KEYS, REQUIRED)
    missing = [key for key in required if not values.get(key)]
    if missing:
        raise DistillationError(f"{where}: the entry lacks {', '.join(missing)}")
    extra = [key for key in values if key not in allowed]
    if extra:
        raise DistillationError(f"{where}: with same_as only names and note can stand, not {', '.join(extra)}")
    if alias:
        return Entry(values["names"], where, same_as=values["same_as"], note=values.get("note", ""))
    return _checked(values, where, today)


def _checked(values: Mapping[str, Any], where: str, today: date) -> Entry:
    for key, allowed in (
        ("kind", KINDS),
        ("commercial", get_args(Permission)),
        ("distillation", get_args(Permission)),
    ):
        if values[key] not in allowed:
            raise DistillationError(f"{where}: {key} is {values[key]!r}; allowed: {', '.join(allowed)}")
    if "checked" in values and parse_release(values["checked"], where) is None:
        raise DistillationError(f"{where}: checked is a day or a month; leave it out where nobody has looked")
    released = parse_release(values["released"], where)
    for key in ("released", "checked"):
        text = values.get(key, "")
        if DATE.fullmatch(text) and text > today.isoformat()[: len(text)]:
            raise DistillationError(f"{where}: {key} is {text}, which is still to come (today is {today})")
    return Entry(**{**values, "where": where, "released": released})


def _names(file: Path, node: Any) -> tuple[str, ...]:
    items = node.value if isinstance(node, yaml.SequenceNode) else [node]
    if not items or any(not isinstance(item, yaml.ScalarNode) or not item.value for item in items):
        raise DistillationError(f"{_at(file, node)}: names is a name or a list of names")
    return tuple(item.value for item in items)


def _text(file: Path, key: str, node: Any) -> str:
    """A value as it is written, so that dates stay text."""
    if not isinstance(node, yaml.ScalarNode):
        raise DistillationError(f"{_at(file, node)}: {key} is one value, not a list or mapping")
    return str(node.value)


def _refuse_repeated(entries: tuple[Entry, ...]) -> None:
    seen: dict[str, str] = {}
    for name, where in _each_name(entries):
        if name in seen:
            raise DistillationError(f"{where}: {name} stands already at {seen[name]}")
        seen[name] = where


def _each_name(entries: tuple[Entry, ...]) -> Iterator[tuple[str, str]]:
    return ((name, entry.where) for entry in entries for name in entry.names)


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile("[^/]*".join(map(re.escape, text.split("*"))))


def _at(file: Path, node: Any) -> str:
    return f"{file}:{node.start_mark.line + 1}"
