"""Teacher's and student's responses joined to ranking rows of LLaMA-Factory, split without leak."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distillm2.data.dataset_info import check_name, register, write_whole
from distillm2.data.near import near_groups
from distillm2.data.pairs_inputs import Response, check_rendering, read_side
from distillm2.data.records import Prompt, digest, normalised
from distillm2.data.templates import TrainingTemplate
from distillm2.errors import DistillationError

NEARLY_ALL = 0.9
COLUMNS = {"prompt": "instruction", "query": "input", "chosen": "chosen", "rejected": "rejected"}


@dataclass(frozen=True)
class Limits:
    """Longest pair and longest prompt in tokens of the training template, which must then be given."""

    cutoff_len: int = 1024
    max_prompt: int = 512


@dataclass(frozen=True)
class PairsReport:
    """Counts of ``build_pairs``. ``dropped`` is by reason; ``warnings`` are sentences for a person."""

    teacher_responses: int
    student_responses: int
    failed: dict[str, int]
    joined: int
    dropped: dict[str, int]
    identical_kept: int
    splits: dict[str, int]
    prompt_groups: int
    warnings: list[str]


@dataclass(frozen=True)
class Pair:
    """One prompt with the teacher's (chosen) and the student's (rejected) response; whose was cut short, if any."""

    prompt: Prompt
    chosen: str
    rejected: str
    truncated: str

    def row(self, *, system: bool, history: bool) -> dict[str, Any]:
        """The ranking row; the optional columns are there in all rows of a file or in none."""
        turns = [turn.content for turn in self.prompt.turns]
        row: dict[str, Any] = {"instruction": turns[-1], "input": "", "chosen": self.chosen, "rejected": self.rejected}
        if system:
            row["system"] = self.prompt.system
        if history:
            row["history"] = [list(pair) for pair in zip(turns[0:-1:2], turns[1:-1:2], strict=True)]
        return row


def build_pairs(
    teacher: Path,
    student: Path,
    output: Path,
    name: str,
    *,
    template: TrainingTemplate | None = None,
    limits: Limits = Limits(),
    validation: float = 0.05,
    near_duplicate: float = 0.8,
    drop_identical: bool = False,
    seed: int = 42,
) -> PairsReport:
    """Join two files of ``generate`` and register ``name`` and ``name_validation`` in ``output``/dataset_info.json.

    Dropped and counted: over-long pairs (when a ``template`` counts tokens), empty and truncated responses, repeated
    prompts and pairs, and with ``drop_identical`` pairs of equal responses. The split depends on the teacher's prompts,
    ``validation``, ``near_duplicate`` and ``seed`` only, so that it stays when the student's responses are drawn anew.

    Raises:
        DistillationError: bad rows, bad options, prompts that one side or the ``template`` renders otherwise, the same
            responses on both sides, a name that others use, or no pair is left.
    """
    check_name(name)
    if not 0 <= validation < 1 or not 0 < near_duplicate <= 1:
        raise DistillationError(
            f"validation {validation} must be at least 0 and below 1, near-duplicate {near_duplicate} in (0, 1]."
        )
    teachers, students = read_side(teacher), read_side(student)
    if teacher.read_bytes() == student.read_bytes():
        raise DistillationError(f"{teacher} and {student} hold the same: give each model's own responses.")
    warnings = check_rendering({"teacher": teachers, "student": students}, template)
    dropped: Counter[str] = Counter()
    dropped["repeated prompt"] = teachers.repeated + students.repeated
    dropped["no student response"] = len(teachers.responses.keys() - students.responses.keys())
    dropped["no teacher response"] = len(students.responses.keys() - teachers.responses.keys())
    joined = [
        _pair(one, students.responses[key]) for key, one in teachers.responses.items() if key in students.responses
    ]
    pairs = _kept(joined, dropped, template, limits, drop_identical=drop_identical)
    if not pairs:
        raise DistillationError(f"No pair is left of {len(joined)} joined ones; dropped: {_by_reason(dropped)}.")
    held_out, groups, no_split = _held_out(
        [response.prompt for response in teachers.responses.values()], validation, near_duplicate, seed
    )
    warnings += no_split
    splits = {
        name: [pair for pair in pairs if pair.prompt.key not in held_out],
        f"{name}_validation": [pair for pair in pairs if pair.prompt.key in held_out],
    }
    identical = sum(_same(pair) for pair in joined)
    if identical >= NEARLY_ALL * len(joined):
        warnings.append(
            f"{identical} of {len(joined)} joined pairs have identical responses: are both files of one model?"
        )
    if template is None:
        warnings.append("Lengths were not checked: give --template and --tokenizer to drop over-long pairs.")
    report = PairsReport(
        teacher_responses=len(teachers.responses) + teachers.repeated,
        student_responses=len(students.responses) + students.repeated,
        failed={"teacher": teachers.failed, "student": students.failed},
        joined=len(joined),
        dropped={reason: count for reason, count in dropped.items() if count},
        identical_kept=sum(_same(pair) for pair in pairs),
        splits={split: len(rows) for split, rows in splits.items()},
        prompt_groups=groups,
        warnings=warnings,
    )
    _write(output, name, splits, report)
    return report


def _pair(one: Response, other: Response) -> Pair:
    truncated = "teacher" if one.truncated else "student" if other.truncated else ""
    return Pair(one.prompt, one.text, other.text, truncated)


def _kept(
    joined: Sequence[Pair],
    dropped: Counter[str],
    template: TrainingTemplate | None,
    limits: Limits,
    *,
    drop_identical: bool,
) -> list[Pair]:
    kept: list[Pair] = []
    seen: set[str] = set()
    for pair in joined:
        reason = _reason(pair, template, limits, drop_identical=drop_identical)
        print_of_it = digest([pair.prompt.key, normalised(pair.chosen), normalised(pair.rejected)])
        if not reason and print_of_it in seen:
            reason = "repeated pair"
        if reason:
            dropped[reason] += 1
        else:
            seen.add(print_of_it)
            kept.append(pair)
    return kept


def _reason(pair: Pair, template: TrainingTemplate | None, limits: Limits, *, drop_identical: bool) -> str:
    """Why the pair cannot be trained on, or nothing."""
    if not pair.chosen.strip():
        return "empty teacher response"
    if not pair.rejected.strip():
        return "empty student response"
    if pair.truncated:
        return f"truncated {pair.truncated} response"
    if drop_identical and _same(pair):
        return "identical responses"
    if template is None:
        return ""
    lengths = [template.lengths(pair.prompt, response) for response in (pair.chosen, pair.rejected)]
    prompt = max(length.prompt for length in lengths)
    if prompt > limits.max_prompt:
        return f"prompt over {limits.max_prompt} tokens"
    if prompt + max(length.response for length in lengths) > limits.cutoff_len:
        return f"pair over {limits.cutoff_len} tokens"
    return ""


def _same(pair: Pair) -> bool:
    return normalised(pair.chosen) == normalised(pair.rejected)


def _held_out(
    prompts: Sequence[Prompt], share: float, near_duplicate: float, seed: int
) -> tuple[set[str], int, list[str]]:
    """Keys of the prompts of the validation split: whole groups in the order of their hash, up to the share."""
    unique = list({prompt.key: prompt for prompt in prompts}.values())
    texts = [" ".join(turn.content for turn in prompt.turns if turn.role == "user") for prompt in unique]
    groups: dict[int, list[str]] = defaultdict(list)
    for group, prompt in zip(near_groups(texts, near_duplicate), unique, strict=True):
        groups[group].append(prompt.key)
    room = round(share * len(unique))
    held_out: set[str] = set()
    for keys in sorted(groups.values(), key=lambda keys: digest([seed, min(keys)])):
        if len(held_out) + len(keys) <= room:
            held_out.update(keys)
    warnings = []
    if share and not held_out:
        warnings.append(
            f"No validation split: {share:.0%} of {len(unique)} prompts in {len(groups)} groups of near-duplicates "
            "gives no whole group; raise --validation or --near-duplicate."
        )
    return held_out, len(groups), warnings


def _write(output: Path, name: str, splits: Mapping[str, Sequence[Pair]], report: PairsReport) -> None:
    pairs = [pair for rows in splits.values() for pair in rows]
    system = any(pair.prompt.system for pair in pairs)
    history = any(len(pair.prompt.turns) > 1 for pair in pairs)
    columns = COLUMNS | ({"system": "system"} if system else {}) | ({"history": "history"} if history else {})
    entry = {"ranking": True, "columns": columns}
    register(
        output,
        {split: ([pair.row(system=system, history=history) for pair in rows], entry) for split, rows in splits.items()},
    )
    written = json.dumps(dataclasses.asdict(report), ensure_ascii=False, indent=2)
    write_whole(output / f"{name}.report.json", written + "\n")


def _by_reason(dropped: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in dropped.items() if count) or "none"
