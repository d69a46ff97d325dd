"""Tables as chunks: cutting Markdown tables at rows, and reading tables drawn with lines."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from llmflow.ingestion.packing import Atom, atom, cut, pack, text_of
from llmflow.korean import count_tokens
from llmflow.schema import Element, ElementType

_SEPARATOR = re.compile(r"\|(?:\s*:?-+:?\s*\|)+$")
_CELL_BORDER = re.compile(r"(?<!\\)\|")
_DRAWN = "┌┏├┠┣┝│┃└┗"
_RULE = re.compile(r"[─━┌┏├┠┣┝└┗┐┓┤┨┫┥┘┛┬┳┴┻┼╋\s]+$")
_DRAWN_BORDER = re.compile(r"[│┃]")
_DRAWN_FRAME = re.compile(r"[─━]*[│┃┌┏├┠┣┝└┗┐┓┤┨┫┥┘┛┬┳┴┻┼╋][─━│┃┌┏├┠┣┝└┗┐┓┤┨┫┥┘┛┬┳┴┻┼╋]*")
_TEXT = (ElementType.NARRATIVE_TEXT, ElementType.LIST_ITEM)


def split_table(table: str, budget: int) -> list[str]:
    """``table`` whole if it has at most ``budget`` tokens, else in parts that all begin with its header row.

    A row beyond the budget is spread over several rows, its first cell repeated if short.
    """
    if count_tokens(table) <= budget:
        return [table]
    lines = table.split("\n")
    header, separator, rows = lines[0], "", lines[1:]
    if rows and _SEPARATOR.match(rows[0]):
        separator, rows = rows[0], rows[1:]
        if count_tokens(header) * 2 > budget:
            # Such a first row is text in a frame, not a header.
            rows = [header, *rows]
            header = "|" + "  |" * len(_cells(header))
    head = f"{header}\n{separator}\n" if separator else f"{header}\n"
    room = max(budget - count_tokens(head), budget // 4)
    atoms = [part for row in rows for part in _row_atoms(row, room)]
    return [head + text_of(piece) for piece in pack(atoms, room, lambda *_: [])]


def _row_atoms(row: str, budget: int) -> list[Atom]:
    whole = atom(row, None, 0)
    if whole.tokens <= budget:
        return [whole]
    cells = _cells(row)
    label = cells[0] if len(cells) > 1 and count_tokens(cells[0]) * 4 <= budget else ""
    room = max(budget - len(cells) - 1 - count_tokens(label), budget // 4)
    columns = range(1 if label else 0, len(cells))
    parts = [part for column in columns for part in cut(atom(cells[column], None, column), room) if part.text]
    return [atom(_row(label, piece, len(cells)), None, 0) for piece in pack(parts, room, lambda *_: [])]


def _row(label: str, parts: Sequence[Atom], width: int) -> str:
    cells = [label] + [""] * (width - 1)
    for part in parts:
        cells[part.order] += " " * bool(cells[part.order]) + part.text
    return "| " + " | ".join(cells) + " |"


def _cells(row: str) -> list[str]:
    return [cell.strip() for cell in _CELL_BORDER.split(row.strip().strip("|"))]


def with_drawn_tables(elements: Sequence[Element]) -> list[Element]:
    """``elements`` with tables drawn by box characters (┌─┬─┐) as table elements.

    What is drawn but is no table (formulas, frames around text) becomes one paragraph of
    its lines.
    """
    found: list[Element] = []
    drawn: list[Element] = []
    for element in elements:
        if element.type in _TEXT and element.text[:1] and element.text[0] in _DRAWN:
            drawn.append(element)
            continue
        found += _undrawn(drawn)
        drawn = []
        found.append(element)
    return found + _undrawn(drawn)


def _undrawn(drawn: Sequence[Element]) -> list[Element]:
    if not drawn:
        return []
    lines = [line.strip() for element in drawn for line in element.text.split("\n")]
    groups: list[list[list[str]]] = [[]]
    for line in lines:
        if _RULE.match(line):
            groups.append([])
        else:
            groups[-1].append([cell.strip() for cell in _DRAWN_BORDER.split(line)[1:-1]])
    groups = [group for group in groups if group]
    if len(groups) == 2:
        # Only the header is ruled off: every line is a row.
        groups[1:] = [[line] for line in groups[1]]
    width = len(groups[0][0]) if groups else 0
    if len(groups) < 2 or width < 2 or any(len(line) != width for group in groups for line in group):
        text = "\n".join(" ".join(_DRAWN_FRAME.sub(" ", line).split()) for line in lines if not _RULE.match(line))
        return [replace(drawn[0], text=text)] if text.strip() else []
    rows = [
        "| " + " | ".join(" ".join(" ".join(cells).split()) for cells in zip(*group, strict=True)) + " |"
        for group in groups
    ]
    rows.insert(1, "|" + " --- |" * width)
    return [replace(drawn[0], type=ElementType.TABLE, text="\n".join(rows))]
