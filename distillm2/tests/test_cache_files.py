"""Cache: what is written, that a killed writer goes on, and what the reader gives."""

from __future__ import annotations

import dataclasses
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from cache_rows_and_teacher import PAIRS, VOCABULARY, TinyTeacher, contents, ranking_dataset
from cache_writing_process import SHARD_BYTES, write
from transformers import PreTrainedTokenizerFast

from distillm2.errors import DistillationError
from distillm2.teacher.cache_format import read_manifest, shard_paths
from distillm2.teacher.cache_reader import CacheReader
from distillm2.teacher.cache_rows import RankingRows
from distillm2.teacher.cached import CachedTeacher


@pytest.fixture(scope="module")
def tiny(teacher: Path) -> TinyTeacher:
    return TinyTeacher(teacher)


@pytest.fixture(scope="module")
def tokenizer(teacher: Path) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast.from_pretrained(teacher)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory, tiny: TinyTeacher, teacher: Path) -> Path:
    """A cache of 24 pairs, written in one go."""
    folder = tmp_path_factory.mktemp("cache") / "whole"
    write(folder, tiny, teacher, PAIRS)
    return folder


def padded(
    tokenizer: PreTrainedTokenizerFast, rows: list[tuple[np.ndarray, np.ndarray]], side: str
) -> tuple[dict, torch.Tensor]:
    """Inputs and labels [b, t] of rows, padded on one side."""
    width = max(len(ids) for ids, _ in rows) + 3
    ids = torch.full((len(rows), width), tokenizer.pad_token_id)
    mask, labels = torch.zeros_like(ids), torch.full_like(ids, -100)
    for number, (row, response) in enumerate(rows):
        place = slice(0, len(row)) if side == "right" else slice(width - len(row), width)
        ids[number, place] = torch.from_numpy(row)
        mask[number, place] = 1
        labels[number, place] = torch.from_numpy(np.where(response, row, -100))
    return {"input_ids": ids, "attention_mask": mask}, labels


def cached(folder: Path, tokenizer: PreTrainedTokenizerFast, **changes: object) -> CachedTeacher:
    arguments: dict = {
        "tokenizer": tokenizer,
        "vocabulary": VOCABULARY,
        "temperature": 1.0,
        "template": "qwen",
        "cutoff_len": 256,
        "datasets": {"train": ranking_dataset(tokenizer, PAIRS)},
    }
    return CachedTeacher(folder, **(arguments | changes))


@pytest.mark.parametrize("side", ["right", "left"])
def test_reads_what_the_teacher_says_at_each_response_token(
    cache: Path, tiny: TinyTeacher, tokenizer: PreTrainedTokenizerFast, side: str
) -> None:
    all_rows = RankingRows({"train": ranking_dataset(tokenizer, PAIRS)})
    rows = [all_rows[number] for number in (3, 0, 17, 30)]
    inputs, labels = padded(tokenizer, rows, side)
    b, t = (labels[:, 1:] != -100).nonzero(as_tuple=True)
    target = cached(cache, tokenizer).targets(inputs, b, t)
    alone = [
        tiny.model(torch.from_numpy(row)[None]).logits[0, :-1, :VOCABULARY].log_softmax(-1)[response[1:]]
        for row, response in rows
    ]
    expected = torch.cat(alone)
    top = expected.topk(8)
    torch.testing.assert_close(target.logprobs, top.values, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(expected.gather(1, target.ids), top.values, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(target.tail.exp() + target.logprobs.exp().sum(1), torch.ones(len(b)), atol=1e-5, rtol=0)
    label_logp = expected.gather(1, labels[:, 1:][b, t][:, None])[:, 0]
    torch.testing.assert_close(target.label_logp, label_logp, atol=1e-5, rtol=1e-5)


def test_rows_of_no_loss_are_not_looked_up(cache: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    rows = [RankingRows({"train": ranking_dataset(tokenizer, PAIRS)})[0], (np.arange(5), np.zeros(5, bool))]
    inputs, labels = padded(tokenizer, rows, "right")
    b, t = (labels[:, 1:] != -100).nonzero(as_tuple=True)
    assert len(cached(cache, tokenizer).targets(inputs, b, t)) == len(b) == rows[0][1].sum()


def test_shards_are_of_the_size_asked_for_and_counted(cache: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    reader = CacheReader(cache)
    rows = RankingRows({"train": ranking_dataset(tokenizer, PAIRS)})
    assert len(shard_paths(cache)) > 5
    assert reader.rows == reader.manifest.rows == len(rows)
    assert reader.tokens == reader.manifest.tokens == rows.responses.sum()
    assert all(path.stat().st_size < SHARD_BYTES + 1_500 for path in shard_paths(cache))
    assert reader.tokens * reader.manifest.token_bytes < reader.size
    everything = reader.read(range(reader.rows))
    assert reader.mean_tail_mass == pytest.approx(everything.tail.exp().mean().item(), rel=1e-5)


def test_a_killed_writer_goes_on_and_ends_with_the_same_files(
    cache: Path, tmp_path: Path, tiny: TinyTeacher, teacher: Path
) -> None:
    folder = tmp_path / "killed"
    command = [sys.executable, str(Path(__file__).with_name("cache_writing_process.py")), folder, teacher, PAIRS, 5]
    process = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    finished = {path: path.stat().st_mtime_ns for path in shard_paths(folder)}
    half_written = shard_paths(cache)[len(finished)]
    (folder / half_written.name).with_suffix(".unfinished").write_bytes(half_written.read_bytes()[:1000])
    assert 0 < len(finished) < len(shard_paths(cache))
    assert 0 < CacheReader(folder).rows < CacheReader(folder).manifest.rows

    told = write(folder, tiny, teacher, PAIRS)

    assert contents(folder) == contents(cache)
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    assert told[0][0] > 0
    assert told[-1] == (CacheReader(cache).tokens,) * 2
    assert sorted(path.name for path in folder.iterdir()) == sorted(path.name for path in cache.iterdir())


def test_new_rows_are_added_and_old_ones_stay(
    tmp_path: Path, tiny: TinyTeacher, teacher: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    write(tmp_path, tiny, teacher, 6)
    before = contents(tmp_path)
    write(tmp_path, tiny, teacher, 10)
    after = contents(tmp_path)
    assert {name: after[name] for name in before if name.startswith("shard")} == {
        name: content for name, content in before.items() if name.startswith("shard")
    }
    cached(tmp_path, tokenizer, datasets={"train": ranking_dataset(tokenizer, 10)})
    told = write(tmp_path, tiny, teacher, 10)
    assert contents(tmp_path) == after
    assert told == [(CacheReader(tmp_path).tokens,) * 2]


def test_rows_that_repeat_are_written_once(tokenizer: PreTrainedTokenizerFast) -> None:
    dataset = ranking_dataset(tokenizer, 5)
    rows = RankingRows({"train": dataset, "eval": dataset})
    assert (len(rows), rows.repeated) == (10, 10)


def test_another_teacher_in_the_same_folder_is_refused(cache: Path, tiny: TinyTeacher, teacher: Path) -> None:
    before = contents(cache)
    with pytest.raises(DistillationError, match=r"teacher 'tiny' there, 'other' now.*--output"):
        write(cache, tiny, teacher, PAIRS, teacher="other")
    assert contents(cache) == before


@pytest.mark.parametrize("top_k", [0, VOCABULARY + 1])
def test_top_k_out_of_range_is_refused(tmp_path: Path, tiny: TinyTeacher, teacher: Path, top_k: int) -> None:
    with pytest.raises(DistillationError, match=f"top-k {top_k} is outside 1 to {VOCABULARY}"):
        write(tmp_path / "cache", tiny, teacher, PAIRS, top_k=top_k)
    assert not (tmp_path / "cache").exists()


def test_a_writer_that_runs_already_is_named(
    tmp_path: Path, tiny: TinyTeacher, teacher: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    from filelock import FileLock

    with FileLock(tmp_path / ".lock"), pytest.raises(DistillationError, match="Another process is writing"):
        write(tmp_path, tiny, teacher, 2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vocabulary": 400}, r"head has 400 rows.*written for 416"),
        ({"temperature": 2.0}, r"distill_temperature is 2,.*temperature 1, the only one"),
        (
            {"template": "llama3"},
            r"2 of the 50 rows.*template qwen, cutoff_len 256; this run has template llama3, cutoff_len 256",
        ),
    ],
)
def test_a_run_that_the_cache_does_not_fit_is_refused_before_training(
    cache: Path, tokenizer: PreTrainedTokenizerFast, changes: dict, message: str
) -> None:
    datasets = {"train": ranking_dataset(tokenizer, PAIRS + 1)} if "template" in changes else {}
    with pytest.raises(DistillationError, match=message):
        cached(cache, tokenizer, **changes, datasets=datasets)


def test_another_tokenizer_is_refused(cache: Path, teacher: Path) -> None:
    other = PreTrainedTokenizerFast.from_pretrained(teacher)
    other.add_tokens(["<|new|>"])
    theirs = read_manifest(cache).tokenizer_hash[:12]
    with pytest.raises(DistillationError, match=rf"tokenizer has hash \w+, .* written with {theirs}.*family of tiny"):
        cached(cache, other)


def test_an_incomplete_cache_says_so(tmp_path: Path, cache: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    (tmp_path / "manifest.json").write_bytes((cache / "manifest.json").read_bytes())
    first = shard_paths(cache)[0]
    (tmp_path / first.name).write_bytes(first.read_bytes())
    with pytest.raises(DistillationError, match=r"incomplete \(\d+ of 48 rows\).*adds the rows that are missing"):
        cached(tmp_path, tokenizer)


def test_images_are_refused(tokenizer: PreTrainedTokenizerFast) -> None:
    dataset = ranking_dataset(tokenizer, 2).add_column("images", [None, ["a.png"]])
    with pytest.raises(DistillationError, match="train dataset has images"):
        RankingRows({"train": dataset})


def test_half_precision_halves_the_log_probabilities(
    tmp_path: Path, cache: Path, tiny: TinyTeacher, teacher: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    write(tmp_path, tiny, teacher, PAIRS, precision="float16")
    small, large = CacheReader(tmp_path), CacheReader(cache)
    assert (small.manifest.token_bytes, large.manifest.token_bytes) == (8 * 6 + 8, 8 * 8 + 8)
    keys = RankingRows({"train": ranking_dataset(tokenizer, PAIRS)}).keys
    theirs, ours = (reader.read(reader.find(keys)) for reader in (large, small))
    assert ours.logprobs.dtype == torch.float16
    torch.testing.assert_close(ours.logprobs.float(), theirs.logprobs, atol=1e-5, rtol=2**-10)
    assert dataclasses.asdict(read_manifest(tmp_path))["precision"] == "float16"
