"""Question-answer pairs from passages: the teacher writes, a judge scores, what is too low is written again."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections import Counter as Counts
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from rich.console import Console

from distillm2.data.dataset_info import register, write_whole
from distillm2.data.endpoint import PAPER, Client, Endpoint, Patience, RequestError, Sampling
from distillm2.data.journal import Journal, has_fields, open_journal, set_aside
from distillm2.data.passages import Language, Passage
from distillm2.data.progress import Counter, progress_bar
from distillm2.data.questions import CRITERIA, Writer
from distillm2.data.records import digest
from distillm2.data.sources import read_rows
from distillm2.errors import DistillationError


@dataclass(frozen=True)
class Quality:
    """What is accepted: every criterion at least ``minimum`` of 10, within ``attempts`` for one question."""

    minimum: float = 7.0
    attempts: int = 3
    per_passage: int = 5
    language: Language | None = None

    def __post_init__(self) -> None:
        """Refuse what no judge can give and no teacher can do."""
        if not 0 <= self.minimum <= 10 or min(self.attempts, self.per_passage) < 1:
            raise DistillationError(
                f"minimum {self.minimum} must be in 0 to 10; attempts {self.attempts} and per-passage "
                f"{self.per_passage} must be 1 or more."
            )


@dataclass(frozen=True)
class SynthesisReport:
    """Counts over the whole output; ``histogram`` has the judged attempts by score, rounded down."""

    target: int
    accepted: int
    given_up: int
    failed: int
    attempts: int
    accepted_at: dict[int, int]
    mean_score: float | None
    histogram: dict[int, int]
    rejected_for: dict[str, int]

    @property
    def finished(self) -> bool:
        """Whether there are as many pairs as wanted."""
        return self.accepted >= self.target


def synthesize(
    passages: Sequence[Passage],
    teacher: Endpoint,
    output: Path,
    *,
    judge: Endpoint | None = None,
    target: int | None = None,
    quality: Quality = Quality(),
    sampling: Sampling = PAPER,
    concurrency: int = 16,
    restart: bool = False,
    console: Console | None = None,
) -> SynthesisReport:
    """Ask for questions, round by round over the passages, until ``target`` pairs (one a passage) are accepted.

    ``<output>.journal`` keeps every question that is done with, so that a killed run goes on; ``output`` gets the
    accepted pairs and ``<output>.report.json`` the report at the end of each run. The teacher judges itself when no
    ``judge`` is given. What fails is asked again at the next start, after all else.

    Raises:
        DistillationError: bad options, other settings than the journal's, an ``output`` of another origin, an endpoint
            that refuses.
    """
    target = len(passages) if target is None else target
    if min(target, concurrency) < 1:
        raise DistillationError(f"target {target} and concurrency {concurrency} must be 1 or more.")
    judge = judge or teacher
    settings = {
        "model": teacher.model,
        "judge": judge.model,
        **dataclasses.asdict(sampling),
        **dataclasses.asdict(quality),
    }
    del settings["per_passage"]  # more rounds only add questions
    with open_journal(output.with_name(output.name + ".journal"), settings, _is_record, restart=restart) as journal:
        _keep_former(output, journal, restart=restart)
        ledger = Ledger(journal, target, {digest([one.id, one.title, one.text]): one for one in passages})
        with progress_bar(console, teacher.model, target, min(len(ledger.accepted), target)) as counter:
            try:
                asyncio.run(_ask(ledger, counter, teacher, judge, quality, sampling, concurrency))
            except BaseException:
                if ledger.accepted:
                    _write(output, ledger, quality.minimum)
                raise
        _write(output, ledger, quality.minimum)
    return ledger.report(quality.minimum)


@dataclass
class Ledger:
    """What was done, by passage and round; the journal's records of passages that are not given are left aside."""

    journal: Journal
    target: int
    passages: Mapping[str, Passage]
    done: dict[tuple[str, int], dict[str, Any]] = field(default_factory=dict)
    failed: set[tuple[str, int]] = field(default_factory=set)
    accepted: list[dict[str, Any]] = field(default_factory=list)
    questions: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        """Take over the journal's records."""
        for record in self.journal.records:
            if record["key"] in self.passages:
                self._take(record)

    def open_slots(self, rounds: int) -> Iterator[tuple[str, int]]:
        """Passage and round of each question that is not done with, round by round; then those that failed before."""
        slots = [(key, number) for number in range(rounds) for key in self.passages if (key, number) not in self.done]
        return iter(sorted(slots, key=lambda slot: slot in self.failed))

    def add(self, record: dict[str, Any]) -> None:
        """Write a record down."""
        self.journal.append(record)
        self._take(record)

    def _take(self, record: dict[str, Any]) -> None:
        slot = (record["key"], record["round"])
        if "error" in record:
            self.failed.add(slot)
            return
        self.failed.discard(slot)
        self.done[slot] = record
        if record["accepted"]:
            self.accepted.append(record)
            self.questions[record["key"]].append(record["attempts"][-1]["question"])

    def report(self, minimum: float) -> SynthesisReport:
        """The counts so far."""
        attempts = [attempt for record in self.done.values() for attempt in record["attempts"]]
        scores = [attempt["score"] for attempt in attempts if attempt["score"] is not None]
        good = [record["attempts"][-1]["score"] for record in self.accepted]
        rejected = Counts(
            attempt["weakest"] for attempt in attempts if attempt["score"] is None or attempt["score"] < minimum
        )
        return SynthesisReport(
            target=self.target,
            accepted=len(self.accepted),
            given_up=len(self.done) - len(self.accepted),
            failed=len(self.failed),
            attempts=len(attempts),
            accepted_at=dict(sorted(Counts(len(record["attempts"]) for record in self.accepted).items())),
            mean_score=sum(good) / len(good) if good else None,
            histogram=dict(sorted(Counts(int(score) for score in scores).items())),
            rejected_for={name: rejected[name] for name in (*CRITERIA, "form", "repeated") if rejected[name]},
        )


async def _ask(
    ledger: Ledger,
    counter: Counter,
    teacher: Endpoint,
    judge: Endpoint,
    quality: Quality,
    sampling: Sampling,
    concurrency: int,
) -> None:
    slots = ledger.open_slots(quality.per_passage)
    patience = Patience(max(8, 2 * concurrency))
    tasks: set[asyncio.Task[dict[str, Any]]] = set()
    async with Client(teacher, concurrency) as writing, Client(judge, concurrency) as judging:
        writer = Writer(writing, judging, sampling, quality.minimum, quality.attempts, quality.language)
        # A passage's next question must know the former ones.
        turns: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        try:
            while True:
                # Never more under way than could still be wanted.
                free = min(concurrency, ledger.target - len(ledger.accepted)) - len(tasks)
                tasks |= {
                    asyncio.create_task(_one(ledger, writer, patience, turns, slot))
                    for slot in islice(slots, max(0, free))
                }
                if not tasks:
                    return
                finished, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for record in await asyncio.gather(*finished):
                    if record.get("accepted") or "error" in record:
                        counter.finished(failed="error" in record)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _one(
    ledger: Ledger, writer: Writer, patience: Patience, turns: Mapping[str, asyncio.Lock], slot: tuple[str, int]
) -> dict[str, Any]:
    key, number = slot
    passage = ledger.passages[key]
    record: dict[str, Any] = {"key": key, "round": number, "passage": passage.id}
    fault: RequestError | None = None
    async with turns[key]:
        try:
            attempts = await writer.attempts_at(passage, ledger.questions[key])
        except RequestError as error:
            fault = error
            record["error"] = str(error)
        else:
            record |= {"attempts": [one.as_json() for one in attempts], "accepted": writer.accepts(attempts[-1])}
        ledger.add(record)
    patience.count(fault)
    return record


def _is_record(value: Any) -> bool:
    if not has_fields(value, key=str, round=int):
        return False
    if "error" in value:
        return True
    if not has_fields(value, passage=str, accepted=bool, attempts=list) or not value["attempts"]:
        return False
    judged = not value["accepted"] or has_fields(value["attempts"][-1], score=int | float, scores=dict)
    parts = {"question": str, "answer": str, "weakest": str, "score": int | float | None}
    return judged and all(has_fields(attempt, **parts) for attempt in value["attempts"])


def _keep_former(output: Path, journal: Journal, *, restart: bool) -> None:
    """Set the files of a former run aside; refuse to write over those that this journal tells nothing of."""
    for path in (output, _report_path(output)):
        if restart and path.is_file():
            set_aside(path)
        elif not journal.records and path.exists():
            raise DistillationError(
                f"{path} exists and {journal.path} holds nothing of it: name another --output, or use --restart, which "
                "sets the file aside."
            )


def _report_path(output: Path) -> Path:
    return output.with_name(output.name + ".report.json")


def _write(output: Path, ledger: Ledger, minimum: float) -> None:
    rows = []
    for record in ledger.accepted:
        last = record["attempts"][-1]
        row = {"passage": record["passage"], **{name: last[name] for name in ("question", "answer", "score", "scores")}}
        rows.append(json.dumps(row | {"attempts": len(record["attempts"])}, ensure_ascii=False) + "\n")
    write_whole(output, "".join(rows))
    report = json.dumps(dataclasses.asdict(ledger.report(minimum)), ensure_ascii=False, indent=2)
    write_whole(_report_path(output), report + "\n")


def register_questions(
    output: Path, passages: Sequence[Passage], folder: Path, name: str, *, with_passage: bool = True
) -> int:
    """Register the pairs of ``output`` as the alpaca dataset ``name`` of ``folder``; returns how many there are.

    The question is the instruction and, unless ``with_passage`` is off, the passage its input: a teacher that has not
    seen the passage would have to make the answer up.

    Raises:
        DistillationError: there is no pair, or the folder or the name cannot be used.
    """
    texts = {passage.id: passage.text for passage in passages}
    rows = [
        {
            "instruction": row["question"],
            "input": texts.get(row["passage"], "") if with_passage else "",
            "output": row["answer"],
        }
        for row in (found.value for found in read_rows(output))
    ]
    if not rows:
        raise DistillationError(f"{output} holds no pair, so {name!r} is not registered.")
    columns = {"prompt": "instruction", "query": "input", "response": "output"}
    register(folder, {name: (rows, {"columns": columns})})
    return len(rows)
