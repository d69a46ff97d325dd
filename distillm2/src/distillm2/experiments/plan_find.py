"""Where a model's ``config.json`` is: in a folder, in the local hub cache, or among the well-known shapes shipped."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

from distillm2.errors import DistillationError
from distillm2.experiments.plan_shape import Shape, read_shape

TABLE = Path(__file__).with_name("plan_models.json")


@cache
def known_models() -> Mapping[str, Mapping[str, Any]]:
    """The configuration values shipped with the package, by hub name."""
    entries = json.loads(TABLE.read_text(encoding="utf-8"))
    return {name: entry["config"] for entry in entries for name in entry["names"]}


def find_shape(name: str, cache_dir: str | None = None) -> tuple[Shape, str]:
    """The shape of a model folder or hub name, and where it was read.

    ``cache_dir`` is LLaMA-Factory's. Raises DistillationError when nothing is known of the name; nothing is downloaded.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        file = folder / "config.json"
        if not file.is_file():
            adapter = " It is an adapter; give its base model." if (folder / "adapter_config.json").is_file() else ""
            raise DistillationError(f"The model folder {name} has no config.json.{adapter}")
        return _read(file, name), str(file)
    cached = _cached(name, cache_dir)
    if cached is not None:
        return _read(cached, name), str(cached)
    known = known_models()
    if name in known:
        return read_shape(known[name], name), "the table of well-known models"
    near = get_close_matches(name, known, 3, 0.6)
    raise DistillationError(
        f"Nothing is known of the model {name!r}: it is no folder, not in the local hub cache and not among the "
        f"{len(known)} models in the table{', where the nearest are ' + ', '.join(near) if near else ''}. "
        "Give the folder of the model, or one that holds just its config.json"
    )


def read_json(file: Path) -> Mapping[str, Any]:
    """A file that holds one JSON object; DistillationError names the line where it is broken."""
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise DistillationError(f"{file}, line {error.lineno}: not valid JSON ({error.msg})") from error
    if not isinstance(value, dict):
        raise DistillationError(f"{file} must hold a JSON object, not {type(value).__name__}")
    return value


def _read(file: Path, name: str) -> Shape:
    return read_shape(read_json(file), name)


def _cached(name: str, cache_dir: str | None) -> Path | None:
    """``config.json`` of the newest local snapshot, where the hub's client puts it."""
    if name.count("/") != 1:
        return None
    home = os.environ.get("HF_HOME", os.path.join(os.environ.get("XDG_CACHE_HOME", "~/.cache"), "huggingface"))
    folder = cache_dir or os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE") or f"{home}/hub"
    model = Path(folder).expanduser() / f"models--{name.replace('/', '--')}"
    main = model / "refs" / "main"
    if main.is_file():
        file = model / "snapshots" / main.read_text(encoding="utf-8").strip() / "config.json"
        if file.is_file():
            return file
    found = sorted((model / "snapshots").glob("*/config.json"), key=lambda file: file.stat().st_mtime)
    return found[-1] if found else None
