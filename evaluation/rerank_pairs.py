"""Training rows for the student's listwise rerank, from the order of a cross-encoder.

    python -m evaluation.rerank_pairs questions.jsonl rerank.json --name rerank

Each line of ``questions.jsonl`` is ``{"question": ...}``, as in samples/questions.jsonl, or
``{"question": ..., "passages": [...]}`` with an optional ``"scores": [...]``. Without passages they are
searched for in the documents ingested here; without scores the cross-encoder of the settings
(``cross_encoder.provider``) gives them, or, with ``--order given``, the order of the passages does. Of more
passages than the reranker reads at once (``reranker.window``) the best are kept.

A row is what the reranker will ask, word for word: the product's prompt, passages cut as it cuts them,
and as the answer the label of the best passage. An order of n passages is taught by its Plackett-Luce
factors (Xia et al. 2008, "Listwise approach to learning to rank"): the best of all, the best without the
first, and so on for ``--levels``. Each row shows its passages in an order drawn anew, so that no label
and no position is right more often than another. Whole questions are held out (``--validation``), as the rows
of one share their passages.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
import time
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import track

from evaluation.tables import Table
from evaluation.training_sets import read_info, write_dataset
from llmflow.cli.session import Session
from llmflow.errors import ConfigurationError, InvalidInputError, LLMFlowError
from llmflow.models.cross_encoder import open_cross_encoder
from llmflow.models.embedder import document_text
from llmflow.retrieval.reranking.cutting import cut
from llmflow.retrieval.reranking.prompts import LABELS, best_messages
from llmflow.retrieval.reranking.student import ranked
from llmflow.settings import Settings

Row = dict[str, str]
_DEADLINE_S = 300


class Order(StrEnum):
    """Whose order is taught."""

    CROSS_ENCODER = "cross-encoder"
    GIVEN = "given"


@dataclass(frozen=True, slots=True)
class Judged:
    """A question, its passages, and a score of each; the highest is the best."""

    question: str
    passages: tuple[str, ...]
    scores: tuple[float, ...]

    def best(self, count: int) -> Judged:
        """With the ``count`` passages of the highest scores, in the order they had."""
        kept = sorted(ranked(self.scores)[:count])
        return Judged(self.question, tuple(self.passages[at] for at in kept), tuple(self.scores[at] for at in kept))


def rows_of(judged: Judged, *, levels: int, passage_tokens: int, draw: random.Random) -> tuple[list[Row], int]:
    """Rows of LLaMA-Factory's alpaca form, and how many were left out because two scores are equal.

    Args:
        levels: places of the order that are taught, from the first.
        passage_tokens: as ``reranker.passage_tokens``.
    """
    texts = cut(judged.question, judged.passages, passage_tokens)
    order = ranked(judged.scores)
    rows: list[Row] = []
    ties = 0
    for level in range(min(levels, len(order) - 1)):
        best, rival = order[level], order[level + 1]
        if judged.scores[best] == judged.scores[rival]:
            ties += 1
            continue
        shown = draw.sample(order[level:], len(order) - level)
        system, user = best_messages(judged.question, [texts[index] for index in shown])
        rows.append({
            "system": system["content"],
            "instruction": user["content"],
            "input": "",
            "output": LABELS[shown.index(best)],
        })  # fmt: skip
    return rows, ties


def read_questions(path: Path) -> list[dict[str, Any]]:
    """The lines of the file.

    Raises:
        InvalidInputError: a line is not a question, or its passages and scores do not fit.
    """
    if not path.is_file():
        raise InvalidInputError(f'{path} is no file; name a file with a line {{"question": "..."}} for each question')
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"{path} is not UTF-8: {error}") from None
    found = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            good = isinstance(row["question"], str) and bool(row["question"].strip())
            passages, scores = row.get("passages"), row.get("scores")
            good &= passages is None or (isinstance(passages, list) and all(isinstance(text, str) for text in passages))
            good &= scores is None or (isinstance(scores, list) and len(scores) == len(passages))
            row["scores"] = None if scores is None else [float(score) for score in scores]
            good &= all(map(math.isfinite, row["scores"] or []))
        except (ValueError, KeyError, TypeError, OverflowError):
            good = False
        if not good:
            raise InvalidInputError(
                f'{path} line {number}: not {{"question": text}} with optional "passages": [text, ...] and as many'
                f' finite "scores": [number, ...]; it is {line[:80]!r}'
            )
        found.append(row)
    return found


def judge(
    questions: Sequence[dict[str, Any]],
    search: Callable[[str], Sequence[str]],
    score: Callable[[str, Sequence[str]], Sequence[float]],
) -> Iterator[Judged]:
    """The questions with their passages and scores."""
    for row in questions:
        question = row["question"]
        given = row.get("passages")
        passages = tuple(search(question) if given is None else given)
        yield Judged(question, passages, tuple(score(question, passages) if row["scores"] is None else row["scores"]))


def held_out(questions: Iterable[str], share: float, seed: int) -> set[str]:
    """The questions, as :func:`key_of` has them, that are not trained on.

    Args:
        share: of the different questions, rounded, but one at least and not all; 0 for none.
    """
    keys = sorted(
        {key_of(text) for text in questions}, key=lambda key: hashlib.sha256(f"{seed} {key}".encode()).digest()
    )
    return set(keys[: min(max(1, round(share * len(keys))), len(keys) - 1)] if share else ())


def key_of(question: str) -> str:
    """The same for questions that differ in case, white space or the encoding of letters."""
    return " ".join(unicodedata.normalize("NFC", question).casefold().split())


def position_scores(_question: str, passages: Sequence[str]) -> list[float]:
    """The order of the passages as scores."""
    return [float(len(passages) - place) for place in range(len(passages))]


def cross_encoder_scores(settings: Settings) -> Callable[[str, Sequence[str]], list[float]]:
    """The configured cross-encoder.

    Raises:
        ConfigurationError: there is none.
    """
    model = open_cross_encoder(settings.cross_encoder)
    if model is None:
        raise ConfigurationError(
            "cross_encoder.provider is none, so there is nothing to learn the order from; set it (see"
            ' docs/retrieval.md), give "scores" with the questions, or take the order of the passages: --order given',
            param="cross_encoder.provider",
        )
    return lambda question, passages: model.scores(question, passages, time.monotonic() + _DEADLINE_S).tolist()


app = typer.Typer(add_completion=False)


@app.command()
def main(
    questions: Annotated[Path, typer.Argument(help="JSON lines of questions.")],
    out: Annotated[Path, typer.Argument(help="JSON file to write.")],
    name: Annotated[str, typer.Option(help="Name of the set in dataset_info.json.")] = "rerank",
    info: Annotated[Path, typer.Option(help="dataset_info.json to register it in.")] = Path("dataset_info.json"),
    order: Annotated[Order, typer.Option(help="Whose order is taught where there are no scores.")] = (
        Order.CROSS_ENCODER
    ),
    departments: Annotated[
        list[str] | None, typer.Option("--department", help="Whose documents are searched; default: the settings'.")
    ] = None,
    levels: Annotated[int, typer.Option(min=1, help="Places of an order that are taught.")] = 3,
    validation: Annotated[
        float, typer.Option(min=0, max=0.5, help="Share of the questions held out, registered as NAME_validation.")
    ] = 0.05,
    seed: Annotated[int, typer.Option(help="Of the order passages are shown in, and of what is held out.")] = 0,
) -> None:
    """Write training rows for `llamafactory_configs/rerank_lora.yaml` and register them.

    Example: python -m evaluation.rerank_pairs questions.jsonl build/rerank.json --name rerank
    """
    console = Console(width=120)
    files = {name: out, f"{name}_validation": out.with_stem(f"{out.stem}_validation")}
    try:
        read_info(info, files)
        session = Session(departments=departments)
        asked = read_questions(questions)
        unscored = any(row["scores"] is None for row in asked)
        learned = unscored and order is Order.CROSS_ENCODER
        score = cross_encoder_scores(session.settings) if learned else position_scores
        with _search(session, wanted=any(row.get("passages") is None for row in asked)) as search:
            found, counts = _collect(judge(asked, search, score), session.settings, levels, seed, len(asked))
        if not found:
            raise InvalidInputError(
                f"{questions} gave no row ({', '.join(f'{key} {count}' for key, count in counts.items())}); give"
                " questions with at least two passages of different scores, or ingest the documents they are about"
            )
        kept_back = held_out((question for question, _ in found), validation, seed)
        for (each, file), wanted in zip(files.items(), (False, True), strict=True):
            rows = [row for question, made in found for row in made if (key_of(question) in kept_back) == wanted]
            write_dataset(rows, file, info, each)
            counts[f"rows of {each}"] = len(rows)
    except LLMFlowError as error:
        console.print(f"error: {error.message}", style="red", soft_wrap=True)
        raise typer.Exit(1) from None
    cells = tuple((key, str(count)) for key, count in counts.items())
    console.print(Table(f"{out}, registered as {name} in {info}", ("", "number"), cells).rich())


def _collect(
    judgements: Iterator[Judged], settings: Settings, levels: int, seed: int, total: int
) -> tuple[list[tuple[str, list[Row]]], Counter[str]]:
    """The rows of each question that has some, and counts of what was left out."""
    window, passage_tokens = settings.reranker.window, settings.reranker.passage_tokens
    few, equal = "questions left out: fewer than two passages", "places left out: equal scores"
    over = f"passages left out: more than {window}, the best kept"
    counts = Counter({"questions": total, few: 0, equal: 0, over: 0})
    draw = random.Random(seed)
    found = []
    for judged in track(judgements, "judging", total, console=Console(stderr=True), transient=True):
        if len(judged.passages) < 2:
            counts[few] += 1
            continue
        counts[over] += max(0, len(judged.passages) - window)
        rows, ties = rows_of(judged.best(window), levels=levels, passage_tokens=passage_tokens, draw=draw)
        counts[equal] += ties
        if rows:
            found.append((judged.question, rows))
    return found, counts


@contextmanager
def _search(session: Session, *, wanted: bool) -> Iterator[Callable[[str], list[str]]]:
    """Passages of the ingested documents as the reranker would get them."""
    if not wanted:
        yield lambda question: []
        return
    with session.runtime() as runtime:
        depth = min(session.settings.reranker.depth, session.settings.reranker.window)

        def search(question: str) -> list[str]:
            result = runtime.search(session.scope, question, depth, threshold=0.0, rerank="none")
            return [document_text(item.chunk) for item in result.candidates]

        yield search


if __name__ == "__main__":
    app()
