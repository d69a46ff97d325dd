"""Files of a cache that are damaged, or that do not belong together: each is named before anything is trained."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from cache_rows_and_teacher import PAIRS, TinyTeacher, contents
from cache_writing_process import write
from safetensors import safe_open
from safetensors.numpy import save_file

from distillm2.errors import DistillationError
from distillm2.teacher.cache_format import next_shard, read_manifest, shard_paths
from distillm2.teacher.cache_reader import CacheReader
from distillm2.teacher.cache_writer import check_folder


@pytest.fixture(scope="module")
def tiny(teacher: Path) -> TinyTeacher:
    return TinyTeacher(teacher)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory, tiny: TinyTeacher, teacher: Path) -> Path:
    """A cache of 24 pairs, written in one go."""
    folder = tmp_path_factory.mktemp("cache") / "whole"
    write(folder, tiny, teacher, PAIRS)
    return folder


def test_a_damaged_shard_is_named(tmp_path: Path, cache: Path, tiny: TinyTeacher, teacher: Path) -> None:
    for name, content in contents(cache).items():
        (tmp_path / name).write_bytes(content)
    damaged = shard_paths(tmp_path)[2]
    damaged.write_bytes(damaged.read_bytes()[:-100])
    with pytest.raises(DistillationError, match=rf"{damaged.name} cannot be read.*Move this file away"):
        CacheReader(tmp_path)
    damaged.unlink()
    write(tmp_path, tiny, teacher, PAIRS)
    CacheReader(tmp_path)


def test_other_formats_and_folders_are_refused(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(DistillationError, match=r"is no teacher cache .*`distillm2 cache`"):
        CacheReader(tmp_path)
    newer = json.loads((cache / "manifest.json").read_text()) | {"format_version": 7}
    (tmp_path / "manifest.json").write_text(json.dumps(newer))
    with pytest.raises(DistillationError, match=r"cache format 7; .* reads format 1"):
        CacheReader(tmp_path)


def copied(cache: Path, folder: Path) -> Path:
    folder.mkdir()
    for name, content in contents(cache).items():
        (folder / name).write_bytes(content)
    return folder


@pytest.mark.parametrize("changes", [{"top_k": 4}, {"teacher_hash": "1"}, {"precision": "float16"}])
def test_a_shard_of_another_cache_is_refused(
    tmp_path: Path, cache: Path, tiny: TinyTeacher, teacher: Path, changes: dict
) -> None:
    folder = copied(cache, tmp_path / "mixed")
    write(tmp_path / "other", tiny, teacher, PAIRS, **changes)
    other = shard_paths(tmp_path / "other")[0]
    (folder / "shard-00002.safetensors").write_bytes(other.read_bytes())
    with pytest.raises(DistillationError, match=r"shard-00002\.safetensors was not written with the manifest\.json"):
        CacheReader(folder)


def test_a_shard_of_another_form_is_refused(tmp_path: Path, cache: Path) -> None:
    folder = copied(cache, tmp_path / "form")
    path = shard_paths(folder)[0]
    with safe_open(path, framework="np") as file:
        about = file.metadata()
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    save_file(arrays | {"ids": arrays["ids"][:, :4], "tail": arrays["tail"].astype(np.float64)}, path, about)
    with pytest.raises(DistillationError, match=r"ids is \('I32', \(\d+, 4\)\).*tail is \('F64'.*Move this file away"):
        CacheReader(folder)


def test_rows_held_twice_are_refused_and_other_files_left_alone(tmp_path: Path, cache: Path) -> None:
    folder = copied(cache, tmp_path / "twice")
    first = shard_paths(folder)[0]
    (folder / "shard-old.safetensors").write_bytes(first.read_bytes())
    (folder / "shard-100000.safetensors").write_bytes(shard_paths(folder)[-1].read_bytes())
    shard_paths(folder)[-2].unlink()
    assert CacheReader(folder).rows == 2 * PAIRS
    assert next_shard(folder) == 100_001
    (folder / "shard-99999.safetensors").write_bytes(first.read_bytes())
    with pytest.raises(DistillationError, match=r"rows are held twice, .*shard-\d+\.safetensors and .*shard-\d+\."):
        CacheReader(folder)


@pytest.mark.parametrize(("field", "value"), [("top_k", "8"), ("precision", "int8"), ("teacher", None)])
def test_a_damaged_manifest_is_refused(tmp_path: Path, cache: Path, field: str, value: object) -> None:
    values = json.loads((cache / "manifest.json").read_text())
    (tmp_path / "manifest.json").write_text(json.dumps(values | {field: value}))
    with pytest.raises(DistillationError, match=rf"damaged \({field} is {value!r}\)"):
        read_manifest(tmp_path)


def test_a_teacher_that_was_moved_adds_rows(tmp_path: Path, tiny: TinyTeacher, teacher: Path) -> None:
    for place in ("/old/tiny", "models/tiny/"):
        write(tmp_path, tiny, teacher, PAIRS, teacher=place)
    with pytest.raises(DistillationError, match=r"teacher 'tiny' there, 'large' now"):
        write(tmp_path, tiny, teacher, PAIRS, teacher="/old/large")


def test_a_folder_that_holds_no_cache_is_refused_before_a_teacher_is_there(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "x.yaml").write_text("precious: 1\n")
    with pytest.raises(DistillationError, match=r"x\.yaml is a file: give a folder"):
        check_folder(tmp_path / "x.yaml")
    folder = copied(cache, tmp_path / "bare")
    check_folder(folder)
    (folder / "manifest.json").unlink()
    with pytest.raises(DistillationError, match=r"has shards but no manifest\.json"):
        check_folder(folder)
