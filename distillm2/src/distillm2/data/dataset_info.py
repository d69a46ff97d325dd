"""Writing datasets into a LLaMA-Factory dataset folder: whole or not at all, others' entries kept."""

from __future__ import annotations

import fcntl
import json
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from distillm2.errors import DistillationError

INFO = "dataset_info.json"


def check_name(name: str) -> str:
    """The dataset's name, which becomes a file name and stands in comma-separated lists."""
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise DistillationError(f"Dataset name {name!r}: letters, digits, _, - and . are allowed.")
    return name


def register(folder: Path, datasets: Mapping[str, tuple[Sequence[Mapping[str, Any]], Mapping[str, Any]]]) -> None:
    """Write each dataset's rows to ``<name>.json`` and its entry, with that file name, to dataset_info.json.

    A dataset without rows is taken out, so that none of an earlier run remains beside the new ones.

    Raises:
        DistillationError: dataset_info.json cannot be read, or an entry of that name is of another file; nothing is
            written then.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        info = _read(folder / INFO)
        for name in datasets:
            if name in info and info[name].get("file_name") != f"{check_name(name)}.json":
                raise DistillationError(
                    f"{folder / INFO} has an entry {name!r} of another origin ({info[name]}): choose another name."
                )
        for name, (rows, entry) in datasets.items():
            if not rows:
                if info.pop(name, None):
                    (folder / f"{name}.json").unlink(missing_ok=True)
                continue
            lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
            write_whole(folder / f"{name}.json", f"[\n{lines}\n]\n")
            info[name] = {"file_name": f"{name}.json", **entry}
        write_whole(folder / INFO, json.dumps(info, ensure_ascii=False, indent=2) + "\n")
    finally:
        os.close(lock)


def write_whole(path: Path, text: str) -> None:
    """Replace the file at once, so that no reader and no crash meets half of it."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(path.stat().st_mode & 0o777 if path.exists() else 0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _read(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        info = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DistillationError(f"{path} cannot be read, so nothing was written: {error}") from error
    if not isinstance(info, dict):
        raise DistillationError(f"{path} must hold a JSON object, so nothing was written.")
    return info
