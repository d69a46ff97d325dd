"""``llmflow mask``."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from llmflow.cli.output import print_json, working
from llmflow.cli.session import Json, Session
from llmflow.errors import ConfigurationError, InvalidInputError

if TYPE_CHECKING:
    from llmflow.pii import Masker

_BATCH = 200
_STANDARD_INPUT = Path("-")


def mask(
    file: Annotated[Path, typer.Argument(help="A text file in UTF-8; - is standard input.")] = _STANDARD_INPUT,
    jsonl: Annotated[
        Path | None,
        typer.Option(help='A file of JSON lines, each an object with a "text"; - is standard input.', metavar="FILE"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Mask personal data in a text.

    With --json: an object with the masked text and its entities. With --jsonl:
    such an object for every line, in order. An entity has type, start, end and
    score; start and end count characters of the text as it was.

    Examples:
      llmflow mask letter.txt
      echo "연락처는 hong@example.com입니다" | llmflow mask
      llmflow mask --jsonl in.jsonl > masked.jsonl
    """
    session = Session()
    if not session.settings.pii.enabled:
        raise ConfigurationError("pii.enabled is false, nothing would be masked; set it to true", param="pii.enabled")
    if jsonl is not None and file != _STANDARD_INPUT:
        raise InvalidInputError(f"give either {file} or --jsonl, not both", param="jsonl")
    with session.runtime() as runtime:
        if jsonl is not None:
            with _open(jsonl) as lines:
                _mask_lines(runtime.masker, _texts(lines, jsonl))
            return
        with _open(file) as stream, working("masking"):
            masked = runtime.masker.mask(_decoded(stream.read, file))
    if as_json:
        print_json(masked)
    else:
        sys.stdout.write(masked.text)


def _mask_lines(masker: Masker, texts: Iterator[str]) -> None:
    while batch := list(islice(texts, _BATCH)):
        for masked in masker.mask_many(batch):
            print_json(masked, indent=None)
        sys.stdout.flush()


def _texts(lines: TextIO, path: Path) -> Iterator[str]:
    number = 0
    while line := _decoded(lines.readline, path):
        number += 1
        try:
            text = json.loads(line)["text"]
        except (ValueError, KeyError, TypeError):
            text = None
        if not isinstance(text, str):
            raise InvalidInputError(
                f'{path}, line {number}: {line.strip()[:80]!r} is no JSON object with a "text" that is a string',
                param="jsonl",
                line=number,
            )
        yield text


@contextmanager
def _open(path: Path) -> Iterator[TextIO]:
    if path == _STANDARD_INPUT:
        yield sys.stdin
        return
    try:
        stream = path.open(encoding="utf-8-sig", newline="")
    except OSError as error:
        raise InvalidInputError(f"{path} cannot be read: {error.strerror}", param=str(path)) from None
    with stream:
        yield stream


def _decoded(read: Callable[[], str], path: Path) -> str:
    try:
        return read()
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"{path} is not UTF-8 ({error}); convert it first", param=str(path)) from None
