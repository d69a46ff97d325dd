"""The responses of teacher and student as files hold them, and whether their prompts were rendered as in training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from distillm2.data.generate import answered
from distillm2.data.journal import HEADER, is_header
from distillm2.data.records import Prompt, parse_prompt
from distillm2.data.sources import parse_rows, read_rows
from distillm2.data.templates import TrainingTemplate
from distillm2.errors import DistillationError

RENDERING = ("template", "thinking", "default_system", "vocabulary")


@dataclass(frozen=True)
class Response:
    """A model's response to a prompt, and whether it was cut short."""

    prompt: Prompt
    text: str
    truncated: bool


@dataclass(frozen=True)
class Side:
    """A file's responses by prompt and sample, the first of each; how many failed and how many came twice.

    ``settings`` are those that ``generate`` wrote into the file; other tools' files have none.
    """

    settings: list[Mapping[str, Any]]
    responses: dict[tuple[str, int], Response]
    failed: int
    repeated: int


def read_side(path: Path) -> Side:
    """All responses of a file of ``generate``, or of another tool.

    Raises:
        DistillationError: bad rows, each with file and line.
    """
    every = read_rows(path)
    settings = [row.value[HEADER] for row in every if is_header(row.value)]
    rows = [row for row in every if not is_header(row.value)]
    if rows and all(isinstance(row.value, Mapping) and isinstance(row.value.get("key"), str) for row in rows):
        done = {id(record) for record in answered([row.value for row in rows])}
        failed = len({row.value["key"] for row in rows}) - len(done)
        rows = [row for row in rows if id(row.value) in done]
    else:
        failed = 0
    responses: dict[tuple[str, int], Response] = {}
    seen: Counter[str] = Counter()
    repeated = 0
    for row, response in zip(rows, parse_rows(rows, _response), strict=True):
        sample = row.value.get("sample", seen[response.prompt.key])
        seen[response.prompt.key] += 1
        if responses.setdefault((response.prompt.key, sample), response) is not response:
            repeated += 1
    return Side([one for one in settings if isinstance(one, Mapping)], responses, failed, repeated)


def check_rendering(sides: Mapping[str, Side], template: TrainingTemplate | None) -> list[str]:
    """Compare how the prompts of all sides were rendered with one another and with the training's ``template``.

    Returns:
        Warnings, one for each side whose server rendered the prompts unchecked.

    Raises:
        DistillationError: a difference, with both values.
    """
    known = [("these options", _rendering(template.settings))] if template is not None else []
    warnings = []
    for who, side in sides.items():
        for settings in side.settings:
            if "template" in settings:
                known.append((f"the {who}'s responses", _rendering(settings)))
            else:
                warnings.append(
                    f"The {who}'s server rendered its prompts by its own chat template, unchecked: the responses may "
                    "be of another distribution than training sees. See --template of generate."
                )
    for (one, ours), (other, theirs) in combinations(known, 2):
        different = [
            f"{name} is {ours[name]!r} in {one} and {theirs[name]!r} in {other}"
            for name in RENDERING
            if ours[name] != theirs[name]
        ]
        if different:
            raise DistillationError(
                f"The prompts were not rendered alike: {'; '.join(different)}. Give --template, --tokenizer, "
                "--enable-thinking and --default-system as the training has them, and draw responses again that were "
                "drawn with others."
            )
    return warnings


def _rendering(settings: Mapping[str, Any]) -> dict[str, Any]:
    # Thinking that is left open is rendered as thinking that is asked for.
    return {name: settings.get(name) for name in RENDERING} | {"thinking": settings.get("thinking") is not False}


def _response(row: Any) -> Response:
    prompt = parse_prompt(row)
    text = row.get("response", row.get("output"))
    if not isinstance(text, str):
        raise ValueError("no text under 'response' or 'output'")
    text.encode()  # half a surrogate pair cannot be written
    if not isinstance(row.get("sample", 0), int):
        raise ValueError(f"sample is {row['sample']!r}; a number is needed")
    return Response(prompt, text, row.get("truncated") is True)
