"""The arguments that a training's YAML may hold, read from the installed packages' sources without importing them."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from distillm2.errors import DistillationError

SOURCES = {
    "llamafactory": [f"hparams/{name}_args.py" for name in ("model", "data", "training", "finetuning", "generating")],
    "transformers": ["training_args.py", "training_args_seq2seq.py"],
    "distillm2": ["stage/arguments.py"],
}


@cache
def known_arguments() -> Mapping[str, str]:
    """Every argument with its type as the source has it, say ``int | None`` or ``Literal['fixed', 'paper']``."""
    known: dict[str, str] = {}
    for package, files in SOURCES.items():
        spec = find_spec(package)
        if spec is None or spec.origin is None:
            raise DistillationError(f"{package} is not installed: pip install llamafactory-distillm2")
        for file in files:
            known |= dict(_fields((Path(spec.origin).parent / file).read_text(encoding="utf-8")))
    return known


def check_arguments(names: Iterable[str], where: str) -> None:
    """Refuse names that no training takes; the nearest one is named."""
    for name in names:
        if name not in known_arguments():
            near = get_close_matches(name, known_arguments(), n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise DistillationError(f"{where}: {name} is no argument of a training{hint}")


def choices(name: str) -> tuple[str, ...]:
    """The values that an argument of a ``Literal`` type may have."""
    literal = ast.parse(known_arguments()[name], mode="eval").body
    if not isinstance(literal, ast.Subscript):
        raise ValueError(f"{name} is no Literal")
    return tuple(str(value) for value in ast.literal_eval(literal.slice))


def _fields(source: str) -> Iterator[tuple[str, str]]:
    """Names and types of all dataclasses' fields that can be given."""
    for node in ast.parse(source).body:
        if not isinstance(node, ast.ClassDef) or not node.decorator_list:
            continue
        for field in node.body:
            if not isinstance(field, ast.AnnAssign) or not isinstance(field.target, ast.Name):
                continue
            if isinstance(field.value, ast.Call) and any(word.arg == "init" for word in field.value.keywords):
                continue
            yield field.target.id, ast.unparse(field.annotation)
