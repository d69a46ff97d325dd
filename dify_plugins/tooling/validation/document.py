"""YAML with the place of every key and value."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from dify_plugins.tooling.validation.problem import Place, Problem, shown

Loc = tuple[str | int, ...]
"""The way from the top of a document to a value: keys and indices."""

_AMBIGUOUS = {"yes", "no", "on", "off"}
_STRING = "tag:yaml.org,2002:str"


@dataclass(frozen=True, slots=True)
class Document:
    """A YAML file that could be read.

    Attributes:
        data: mappings, lists and scalars as ``yaml.safe_load`` gives them.
        keys: where each key of a mapping stands, by the way to its value.
        values: where each value stands; a mapping or list stands where its key does.
    """

    path: Path
    data: Any
    keys: dict[Loc, Place]
    values: dict[Loc, Place]

    def place(self, loc: Loc, *, of_key: bool = False) -> Place:
        """Where ``loc`` stands; for a thing that is not there, the nearest thing around it."""
        places = self.keys if of_key else self.values
        while loc and loc not in places:
            loc = loc[:-1]
        return places.get(loc) or self.values.get(loc) or Place(self.path)

    def problem(self, loc: Loc, what: str, *, remedy: str, allowed: str = "", of_key: bool = False) -> Problem:
        """A finding at ``loc``."""
        return self.place(loc, of_key=of_key).problem(what, remedy=remedy, allowed=allowed)


def read(path: Path) -> tuple[Document | None, list[Problem]]:
    """Read a YAML file; no document where it is not there, no YAML, or says a thing twice."""
    try:
        text = path.read_bytes().decode()
        node = yaml.compose(text, yaml.CSafeLoader)
    except FileNotFoundError:
        return None, [Place(path).problem("the file is missing", remedy="create it, or correct the path to it")]
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        return None, [Place(path, line).problem("the file is not UTF-8", remedy="save it as UTF-8")]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(path, mark.line + 1, mark.column + 1) if mark else Place(path)
        return None, [place.problem(f"this is not YAML: {error.problem or error.context}", remedy="correct it")]
    except yaml.YAMLError as error:
        return None, [Place(path).problem(f"this is not YAML: {error}", remedy="correct it")]
    if node is None:
        return None, [Place(path).problem("the file is empty", remedy="write the declaration it stands for")]
    reading = _Reading(path)
    data = reading.value(node, ())
    return (None if reading.problems else Document(path, data, reading.keys, reading.values)), reading.problems


@dataclass(slots=True)
class _Reading:
    """Turns nodes into values and remembers their places."""

    path: Path
    keys: dict[Loc, Place] = field(default_factory=dict)
    values: dict[Loc, Place] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    scalars: yaml.constructor.SafeConstructor = field(default_factory=yaml.constructor.SafeConstructor)
    open: set[int] = field(default_factory=set)

    def value(self, node: yaml.Node, loc: Loc) -> Any:
        place = self.place(node)
        self.values[loc] = place
        if isinstance(node, yaml.ScalarNode):
            return self.scalar(node, place)
        self.values[loc] = self.keys.get(loc, place)
        if id(node) in self.open:
            self.problems.append(place.problem("an alias stands for a value that holds it", remedy="write it out"))
            return None
        self.open.add(id(node))
        try:
            if isinstance(node, yaml.SequenceNode):
                return [self.value(item, (*loc, index)) for index, item in enumerate(node.value)]
            return self.mapping(node, loc)
        finally:
            self.open.discard(id(node))

    def mapping(self, node: yaml.Node, loc: Loc) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            place = self.place(key_node)
            if not isinstance(key_node, yaml.ScalarNode) or self.scalar(key_node, place) is None:
                self.problems.append(place.problem("a key is not a word", remedy="write a word before the colon"))
                continue
            key = str(key_node.value)
            if key in found:
                first = self.keys[*loc, key].line
                what = f"the key {shown(key)} stands here a second time, first in line {first}"
                self.problems.append(place.problem(what, remedy="keep one of the two; only the last one counts"))
            self.keys[*loc, key] = place
            found[key] = self.value(value_node, (*loc, key))
        return found

    def scalar(self, node: yaml.ScalarNode, place: Place) -> Any:
        # Dify's Go side reads YAML 1.2, where these are words; its Python side reads YAML 1.1, where they are booleans.
        if not node.style and node.value.lower() in _AMBIGUOUS and node.tag != _STRING:
            what = f"{node.value} is a word to one part of Dify and a boolean to another"
            self.problems.append(place.problem(what, remedy=f"write true or false, or '{node.value}' in quotes"))
        try:
            return self.scalars.construct_object(node)
        except (yaml.YAMLError, ValueError) as error:
            self.problems.append(place.problem(f"{shown(node.value)} cannot be read: {error}", remedy="quote it"))
            return None

    def place(self, node: yaml.Node) -> Place:
        return Place(self.path, node.start_mark.line + 1, node.start_mark.column + 1)
