"""The blocks a source text is made of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode


@dataclass(frozen=True)
class Block:
    """``kind`` is heading, paragraph, item, table or note (a quotation).

    ``level`` is a heading's depth (1 is the document's title), ``rows`` a table's cells,
    the header first, ``marker`` what stands before a list item.
    """

    kind: str
    text: str = ""
    level: int = 0
    marker: str = ""
    rows: list[list[str]] = field(default_factory=list)


def read_blocks(source: Path) -> list[Block]:
    """The blocks of a Markdown file, in order."""
    tokens = MarkdownIt("commonmark").enable("table").parse(source.read_text(encoding="utf-8"))
    return [block for node in SyntaxTreeNode(tokens).children for block in _blocks(node)]


def _blocks(node: SyntaxTreeNode) -> Iterator[Block]:
    if node.type == "heading":
        yield Block("heading", _text(node), level=int(node.tag[1]))
    elif node.type == "paragraph":
        yield Block("paragraph", _text(node))
    elif node.type == "blockquote":
        yield Block("note", _text(node))
    elif node.type in {"bullet_list", "ordered_list"}:
        start = int(node.attrs.get("start", 1))
        for number, item in enumerate(node.children, start):
            yield Block("item", _text(item), marker="•" if node.type == "bullet_list" else f"{number}.")
    elif node.type == "table":
        yield Block(
            "table", rows=[[_text(cell) for cell in row.children] for part in node.children for row in part.children]
        )
    else:
        raise ValueError(f"the sample writers know no Markdown {node.type!r}; use headings, lists, tables and quotes")


def _text(node: SyntaxTreeNode) -> str:
    if node.type == "text":
        return node.content
    return " ".join(filter(None, (_text(child) for child in node.children)))
