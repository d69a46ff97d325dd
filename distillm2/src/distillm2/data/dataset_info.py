"""Writing datasets into a LLaMA-Factory dataset folder: whole or not at all, others' entries kept."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from distillm2.errors import DistillationError

INFO = "dataset_info.json"
MARK = "distillm2_sha256"  # LLaMA-Factory reads the keys of an entry that it knows only


def check_name(name: str) -> str:
    """The dataset's name, which becomes a file name and stands in comma-separated lists."""
    if not re.fullmatch(r"\w[\w.-]*", name) or f"{name}.json" == INFO or name.endswith(".report"):
        raise DistillationError(
            f"Dataset name {name!r}: letters, digits, _, - and . are allowed, {Path(INFO).stem!r} and names that end "
            "in .report are taken."
        )
    return name


def dataset_place(place: str) -> tuple[Path, str]:
    """Folder and name of the dataset at ``DIR/NAME``."""
    path = Path(place)
    if place.endswith(("/", "/.")) or path.is_dir():
        raise DistillationError(f"{place!r} is a folder: give DIR/NAME, such as {path / 'my_qa'}.")
    return path.parent, check_name(path.name)


def check_free(folder: Path, name: str) -> None:
    """Refuse what ``register`` would refuse for an alpaca dataset, before any work is done for it."""
    folder.mkdir(parents=True, exist_ok=True)
    _check_ours(folder, _read(folder / INFO), name, {})


def register(folder: Path, datasets: Mapping[str, tuple[Sequence[Mapping[str, Any]], Mapping[str, Any]]]) -> None:
    """Write each dataset's rows to ``<name>.json`` and its entry, with that file name, to dataset_info.json.

    The entry gets the hash of the file, by which a later call knows it again: only what was written here and not
    changed since is replaced. A dataset without rows is taken out, so that none of an earlier run remains beside the
    new ones.

    Raises:
        DistillationError: dataset_info.json cannot be read, a bad name, or a file or an entry of that name is somebody
            else's; nothing is written then.
    """
    texts = {name: _text(rows) for name, (rows, _) in datasets.items()}
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        info = _read(folder / INFO)
        for name, (_, entry) in datasets.items():
            _check_ours(folder, info, name, entry, texts[name])
        for name, (rows, entry) in datasets.items():
            file = folder / f"{name}.json"
            if rows:
                write_whole(file, texts[name])
                info[name] = {"file_name": file.name, **entry, MARK: _hash(texts[name].encode())}
            else:
                info.pop(name, None)
                file.unlink(missing_ok=True)
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


def _check_ours(folder: Path, info: Mapping[str, Any], name: str, entry: Mapping[str, Any], text: str = "") -> None:
    """Refuse a name whose entry or files were not written here, for this kind of rows, or were changed since."""
    file = folder / f"{check_name(name)}.json"
    there = file.read_bytes() if file.is_file() else None
    known = info.get(name)
    if known is None:
        # A stop between file and entry leaves the same text without its entry.
        stray = [file] if there is not None and there != text.encode() else []
        stray += [report for report in [folder / f"{name}.report.json"] if report.exists()]
        if stray:
            raise DistillationError(f"{stray[0]} is of another origin: choose another name, or move the file away.")
        return
    ours = isinstance(known, Mapping) and known.get("file_name") == file.name and MARK in known
    if not ours or bool(known.get("ranking")) != bool(entry.get("ranking")):
        raise DistillationError(
            f"{folder / INFO} has an entry {name!r} of another origin ({known}): choose another name."
        )
    if there is not None and _hash(there) != known[MARK] and there != text.encode():
        raise DistillationError(
            f"{file} was changed after distillm2 wrote it: choose another name, or move the file away."
        )


def _text(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    return f"[\n{lines}\n]\n"


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
