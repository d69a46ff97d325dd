"""Ranking data as training sees it: tokenised whole, and pairs that do not fit dropped before anything is cut."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from distillm2.errors import DistillationError

UNLIMITED = 2**31 - 1
BATCH = 1000


@dataclass(frozen=True, eq=False)
class Pairs:
    """A tokenizer with its template, and the datasets of teacher and student responses.

    ``tokenizer_module`` holds ``tokenizer`` and ``processor``; ``dataset_module`` holds ``train_dataset`` and, where
    asked for, ``eval_dataset``, which is a dictionary of several with ``eval_on_each_dataset``.
    """

    tokenizer_module: dict[str, Any]
    template: Any
    dataset_module: dict[str, Any]

    def datasets(self) -> dict[str, Any]:
        """Every dataset by name."""
        return _flatten(self.dataset_module)


@dataclass
class DroppedPairs:
    """Counts of pairs that were left out, by reason."""

    cutoff_len: int
    total: int = 0
    kept: int = 0
    longest: int = 0
    reasons: dict[str, int] = field(default_factory=dict)

    def describe(self) -> str:
        """One line for the log."""
        detail = ", ".join(f"{count} {reason}" for reason, count in self.reasons.items() if count)
        return f"{self.total - self.kept} of {self.total} pairs dropped ({detail or 'none'}); {self.kept} are left"


def load_pairs(model_args: Any, data_args: Any, training_args: Any) -> Pairs:
    """Load the tokenizer and the ranking data that the settings name.

    LLaMA-Factory cuts the end of a prompt, and with a response its end-of-sequence token, to fit ``cutoff_len``. Here
    nothing is cut: a pair of which either sequence is longer, or has no response tokens, is dropped and counted.

    :raises DistillationError: when a dataset cannot be read, or no pair is left
    """
    from llamafactory.data import get_dataset, get_template_and_fix_tokenizer
    from llamafactory.model import load_tokenizer

    logger = stage_logger()
    tokenizer_module = load_tokenizer(model_args)
    template = get_template_and_fix_tokenizer(tokenizer_module["tokenizer"], data_args)
    if note := describe_thinking(template, data_args.template):
        logger.warning_rank0(note)
    whole = copy.copy(data_args)
    whole.cutoff_len = UNLIMITED
    try:
        module = get_dataset(template, model_args, whole, training_args, stage="rm", **tokenizer_module)
    except ValueError as error:
        named = ", ".join([*(data_args.dataset or ()), *(data_args.eval_dataset or ())])
        raise DistillationError(
            f"The pairs of dataset {named or '(none named)'} in {data_args.dataset_dir} cannot be read: {error} "
            "`distillm2 pairs` writes such a dataset, its entry in dataset_info.json with `ranking: true` included."
        ) from error
    fitting: dict[str, Any] = {}
    for key, found in module.items():
        if isinstance(found, dict):
            fitting[key] = {name: _keep(dataset, name, data_args, logger) for name, dataset in found.items()}
        else:
            fitting[key] = None if found is None else _keep(found, key, data_args, logger)
    return Pairs(tokenizer_module, template, fitting)


def stage_logger() -> Any:
    """A logger below LLaMA-Factory's own, whose handlers write to the terminal and to LlamaBoard."""
    from llamafactory.extras import logging

    return logging.get_logger("llamafactory.distillm2")


def drop_unfit(dataset: Any, cutoff_len: int) -> tuple[Any, DroppedPairs]:
    """The pairs of which both sequences fit ``cutoff_len`` and have response tokens, and what was dropped."""
    dropped = DroppedPairs(cutoff_len)
    too_long, empty = {}, {}
    for side in ("chosen", "rejected"):
        lengths, responses = _measure(dataset, side)
        dropped.longest = max(dropped.longest, int(lengths.max(initial=0)))
        too_long[side], empty[side] = lengths > cutoff_len, responses == 0
    both = too_long["chosen"] & too_long["rejected"]
    long_pair = too_long["chosen"] | too_long["rejected"]
    empty_pair = (empty["chosen"] | empty["rejected"]) & ~long_pair
    dropped.reasons = {
        "too long with either response": int(both.sum()),
        "too long with the teacher's response": int((too_long["chosen"] & ~both).sum()),
        "too long with the student's response": int((too_long["rejected"] & ~both).sum()),
        "with an empty response": int(empty_pair.sum()),
    }
    keep = np.flatnonzero(~(long_pair | empty_pair))
    dropped.total, dropped.kept = len(long_pair), len(keep)
    return (dataset if dropped.kept == dropped.total else dataset.select(keep)), dropped


def describe_thinking(template: Any, name: str | None) -> str:
    """What a reasoning template does to responses without a thought, or an empty string for another template."""
    from llamafactory.data.template import ReasoningTemplate

    if not isinstance(template, ReasoningTemplate):
        return ""
    opening, closing = (word.strip() for word in template.thought_words)
    where = "learned as the response's beginning" if template.enable_thinking else "put at the end of the prompt"
    return (
        f"Template {name} gives responses without a thought an empty {opening}{closing} block, {where} "
        f"(enable_thinking: {template.enable_thinking}). Both models' responses must have been generated with the same "
        f"prompt (`distillm2 generate` with template {name}); {name}_nothink leaves the block out."
    )


def _keep(dataset: Any, name: str, data_args: Any, logger: Any) -> Any:
    kept, dropped = drop_unfit(dataset, data_args.cutoff_len)
    message = f"{name}: {dropped.describe()}. cutoff_len is {dropped.cutoff_len}, the longest has {dropped.longest}."
    if not dropped.kept:
        raise DistillationError(
            f"{message} Nothing is left to train on: raise cutoff_len, or make shorter pairs with `distillm2 pairs`."
        )
    if dropped.kept < dropped.total:
        logger.warning_rank0(message)
    else:
        logger.info_rank0(message)
    return kept


def _measure(dataset: Any, side: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Tokens of each sequence, and those of its response."""
    from llamafactory.extras.constants import IGNORE_INDEX

    lengths, responses = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
    for table in dataset.with_format("arrow").iter(batch_size=BATCH):
        labels = table[f"{side}_labels"].combine_chunks()
        sizes = labels.value_lengths().to_numpy(zero_copy_only=False).astype(np.int64)
        counted = np.concatenate([[0], np.cumsum(labels.flatten().to_numpy(zero_copy_only=False) != IGNORE_INDEX)])
        ends = np.cumsum(sizes)
        lengths.append(sizes)
        responses.append(counted[ends] - counted[ends - sizes])
    return np.concatenate(lengths), np.concatenate(responses)


def _flatten(module: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, dataset in module.items():
        name = key.removesuffix("_dataset")
        if isinstance(dataset, dict):
            found |= {f"{name}_{part}": value for part, value in dataset.items()}
        elif dataset is not None:
            found[name] = dataset
    return found
