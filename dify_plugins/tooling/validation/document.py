"""YAML with the place of every key and value."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from dify_plugins.tooling.validation.problem import Place, Problem, shown

Loc = tuple[str | int, ...]
"""The way from the top of a document to a value: keys and indices."""

_AMBIGUOUS = {"yes", "no", "on", "off"}
_STRING = "tag:yaml.org,2002:str"
_MERGE = "tag:yaml.org,2002:merge"
_MAX_DEPTH = 64
_Pair = tuple[yaml.Node, yaml.Node]


@dataclass(frozen=True, slots=True)
class Document:
    """A YAML file that could be read.

    Attributes:
        data: mappings, lists and scalars as ``yaml.safe_load`` gives them.
        keys: where each key of a mapping stands, by the way to its value.
        values: where each value stands; a mapping or list stands where its key does.
        texts: each scalar as it is written, without quotes.
    """

    path: Path
    data: Any
    keys: dict[Loc, Place]
    values: dict[Loc, Place]
    texts: dict[Loc, str]

    def place(self, loc: Loc, *, of_key: bool = False) -> Place:
        """Where ``loc`` stands; for a thing that is not there, the nearest thing around it."""
        places = self.keys if of_key else self.values
        while loc and loc not in places:
            loc = loc[:-1]
        return places.get(loc) or self.values.get(loc) or Place(self.path)

    def problem(self, loc: Loc, what: str, *, remedy: str, allowed: str = "", of_key: bool = False) -> Problem:
        """A finding at ``loc``."""
        return self.place(loc, of_key=of_key).problem(what, remedy=remedy, allowed=allowed)


def read_text(path: Path) -> str | Problem:
    """A text file, or why it cannot be read."""
    try:
        content = path.read_bytes()
        return content.decode()
    except FileNotFoundError:
        return Place(path).problem("the file is missing", remedy="create it, or correct the path to it")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        return Place(path, line).problem("the file is not UTF-8", remedy="save it as UTF-8")
    except OSError as error:
        what = f"the file cannot be read: {error.strerror}"
        return Place(path).problem(what, remedy="put a file in its place that can be read")


def read(path: Path) -> tuple[Document | None, list[Problem]]:
    """Read a YAML file; no document where it is not there, no YAML, or says a thing twice."""
    text = read_text(path)
    if isinstance(text, Problem):
        return None, [text]
    reading = _Reading(path)
    try:
        if too_deep := _too_deep(path, text):
            return None, [too_deep]
        node = yaml.compose(text, yaml.CSafeLoader)
        data = None if node is None else reading.value(node, ())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(path, mark.line + 1, mark.column + 1) if mark else Place(path)
        return None, [place.problem(f"this is not YAML: {error.problem or error.context}", remedy="correct it")]
    except yaml.reader.ReaderError as error:
        line = text.encode()[: error.position].count(b"\n") + 1
        return None, [Place(path, line).problem(f"this is not YAML: {error.reason}", remedy="correct it")]
    if node is None:
        return None, [Place(path).problem("the file is empty", remedy="write the declaration it stands for")]
    document = Document(path, data, reading.keys, reading.values, reading.texts)
    return (None if reading.problems else document), reading.problems


def _too_deep(path: Path, text: str) -> Problem | None:
    """Said before a parser that calls itself at every level runs out of stack."""
    depth = 0
    for event in yaml.parse(text, yaml.CSafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _MAX_DEPTH:
            what = f"this is nested over {_MAX_DEPTH} levels deep"
            return Place(path, event.start_mark.line + 1 if event.start_mark else 1).problem(what, remedy="correct it")
    return None


@dataclass(slots=True)
class _Reading:
    """Turns nodes into values and remembers their places."""

    path: Path
    keys: dict[Loc, Place] = field(default_factory=dict)
    values: dict[Loc, Place] = field(default_factory=dict)
    texts: dict[Loc, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    scalars: yaml.constructor.SafeConstructor = field(default_factory=yaml.constructor.SafeConstructor)
    open: set[int] = field(default_factory=set)

    def value(self, node: yaml.Node, loc: Loc) -> Any:
        place = self.place(node)
        self.values[loc] = place
        if isinstance(node, yaml.ScalarNode):
            self.texts[loc] = node.value
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
        for key_node, value_node in [*_own(node), *self.merged(node)]:
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

    def merged(self, node: yaml.Node) -> list[_Pair]:
        """What ``<<`` brings from other mappings; keys that the mapping has itself win."""
        known = {key.value for key, _ in _own(node)}
        found: list[_Pair] = []
        for key_node, value in node.value:
            if key_node.tag != _MERGE:
                continue
            for source in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                if not isinstance(source, yaml.MappingNode) or id(source) in self.open:
                    what, remedy = "<< names no other mapping", "name one by its anchor, or write the keys out"
                    self.problems.append(self.place(key_node).problem(what, remedy=remedy))
                    continue
                self.open.add(id(source))
                pairs = [pair for pair in [*_own(source), *self.merged(source)] if pair[0].value not in known]
                self.open.discard(id(source))
                known |= {key.value for key, _ in pairs}
                found += pairs
        return found

    def scalar(self, node: yaml.ScalarNode, place: Place) -> Any:
        # Dify's Go side reads YAML 1.2, where these are words; its Python side reads YAML 1.1, where they are booleans.
        if not node.style and node.value.lower() in _AMBIGUOUS and node.tag != _STRING:
            what = f"{node.value} is a word to one part of Dify and a boolean to another"
            self.problems.append(place.problem(what, remedy=f"write true or false, or '{node.value}' in quotes"))
        try:
            value = self.scalars.construct_object(node)
        except (yaml.YAMLError, ValueError) as error:
            self.problems.append(place.problem(f"{shown(node.value)} cannot be read: {error}", remedy="quote it"))
            return None
        if isinstance(value, float) and not math.isfinite(value):
            self.problems.append(place.problem(f"{node.value} is no number that JSON has", remedy="write a number"))
        return value

    def place(self, node: yaml.Node) -> Place:
        return Place(self.path, node.start_mark.line + 1, node.start_mark.column + 1)


def _own(node: yaml.Node) -> list[_Pair]:
    """What a mapping says itself."""
    return [(key, value) for key, value in node.value if key.tag != _MERGE]
