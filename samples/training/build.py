"""Build the sample training sets from the questions beside this file and the sample documents.

    python samples/training/build.py [FOLDER]

writes the sets into FOLDER/samples/training and registers them in FOLDER/dataset_info.json, by default
of this repository. Each line of ``questions_*.jsonl`` is a question with the sentences of its answer, each
with the words of the documents that bear it out (``evidence``); an answer without sentences is that there
is none. Some have an answer with a fault (``rejected``), for the ranking sets.

The prompts are what the product sends: the documents are ingested, searched and put before the LLM by
LLMFlow itself, masked as always. Only fewer and smaller passages are shown, to keep the files small.
"""

from __future__ import annotations

import json
import random
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from evaluation.answer_prompts import prompt_of  # noqa: E402
from evaluation.rerank_pairs import Judged, rows_of  # noqa: E402
from evaluation.retrieval import isolated  # noqa: E402
from evaluation.training_sets import write_dataset  # noqa: E402
from llmflow.generation.citations import CitationChecker  # noqa: E402
from llmflow.generation.phrases import ABSTENTION, Language  # noqa: E402
from llmflow.generation.window import Passage  # noqa: E402
from llmflow.models.embedder import document_text  # noqa: E402
from llmflow.runtime import Runtime  # noqa: E402
from llmflow.schema import Candidate, Scope  # noqa: E402
from llmflow.settings import Settings  # noqa: E402

HERE = Path(__file__).resolve().parent
LANGUAGES: tuple[Language, ...] = ("ko", "en")
SCOPE = Scope("samples", ("samples",))
SHOWN, CONTEXT_TOKENS = 3, 220
WINDOW, PASSAGE_TOKENS, RERANKED = 5, 60, 20
RANKED = {"prompt": "instruction", "query": "input", "chosen": "chosen", "rejected": "rejected", "system": "system"}
Row = dict[str, str]


def questions(language: Language) -> list[dict[str, Any]]:
    """The lines of ``questions_{language}.jsonl``."""
    lines = (HERE / f"questions_{language}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def main(folder: Path) -> None:
    """Write and register every set."""
    with tempfile.TemporaryDirectory(prefix="llmflow-training-") as scratch:  # noqa: SIM117
        with Runtime(isolated(Settings(), Path(scratch), tracing=False)) as runtime:
            paths = sorted((ROOT / "samples" / "documents").iterdir())
            for outcome in runtime.ingest(SCOPE, SCOPE.departments[0], paths):
                assert outcome.document.status == "ready", outcome
            sets = {name: rows for language in LANGUAGES for name, rows in build(runtime, language)}
    for name, rows in sets.items():
        entry = {"ranking": True, "columns": RANKED} if name.startswith("pairs") else {}
        out = folder / "samples" / "training" / f"{name}.json"
        write_dataset(rows, out, folder / "dataset_info.json", name, **({"entry": entry} if entry else {}))
        print(f"{name}: {len(rows)} rows, {out.stat().st_size / 1000:.0f} kB")


def build(runtime: Runtime, language: Language) -> Iterator[tuple[str, list[Row]]]:
    """The sets of a language by name."""
    asked = questions(language)
    draw = random.Random(language)
    for split, suffix in (("train", ""), ("eval", "_eval")):
        rows = [row for row in asked if row["split"] == split]
        answers = [answer_row(runtime, language, row) for row in rows]
        yield f"answers_{language}{suffix}", answers
        pairs = zip(rows, answers, strict=True)
        yield f"pairs_{language}{suffix}", [pair_row(row, answer) for row, answer in pairs if "rejected" in row]
        answered = [row for row in rows if row["answer"]][:RERANKED]
        yield f"rerank_{language}{suffix}", [rerank_row(runtime, row, draw) for row in answered]


def answer_row(runtime: Runtime, language: Language, row: dict[str, Any]) -> Row:
    """The product's prompt, and the answer, with the numbers of passages that its own check finds to bear it out."""
    result = runtime.search(SCOPE, row["question"], SHOWN)
    assert result.candidates, row["question"]
    prompt, passages = prompt_of(row["question"], result, CONTEXT_TOKENS)
    sentences = [f"{part['sentence']} {marks(part['evidence'], passages, row)}" for part in row["answer"]]
    checker = CitationChecker(passages, language, Settings().generation.support_threshold)
    for sentence in sentences:
        checked = checker.check(sentence)
        assert not checked.unsupported, sentence
        assert not checked.dropped, sentence
    output = " ".join(sentences) or ABSTENTION[language]
    return {**prompt, "output": output}


def marks(evidence: str, passages: Sequence[Passage], row: dict[str, Any]) -> str:
    """The numbers of the passages that hold the evidence, best first, two at most."""
    found = [passage.number for passage in passages if holds(passage.text, evidence)]
    assert found, f"no passage for {row['question']!r} holds {evidence!r}: {[passage.text for passage in passages]}"
    return "".join(f"[{number}]" for number in found[:2])


def pair_row(row: dict[str, Any], answer: Row) -> Row:
    """A row of the ranking form: the answer, and one with a fault."""
    prompt = {key: answer[key] for key in ("system", "instruction", "input")}
    return {**prompt, "chosen": answer["output"], "rejected": row["rejected"]}


def rerank_row(runtime: Runtime, row: dict[str, Any], draw: random.Random) -> Row:
    """The reranker's prompt, and the label of the passage that bears the answer out.

    The order is that of the search, without a cross-encoder, with the right passages first.
    """
    result = runtime.search(SCOPE, row["question"], WINDOW, threshold=0.0, rerank="none")
    evidence = [part["evidence"] for part in row["answer"]]
    scores = [item.score + right(item, evidence) for item in result.candidates]
    texts = tuple(document_text(item.chunk) for item in result.candidates)
    judged = Judged(row["question"], texts, tuple(scores))
    rows, ties = rows_of(judged, levels=1, passage_tokens=PASSAGE_TOKENS, draw=draw)
    assert max(scores) > 1, f"the right passage of {row['question']!r} is not among the first {WINDOW}"
    assert not ties, row["question"]
    return rows[0]


def right(item: Candidate, evidence: Sequence[str]) -> int:
    """How many of the facts the passage holds."""
    return sum(holds(item.chunk.text, fact) for fact in evidence)


def holds(text: str, evidence: str) -> bool:
    """Whether the words stand in the text, lines apart or not."""
    return squeeze(evidence) in squeeze(text)


def squeeze(text: str) -> str:
    """Without white space, which differs where a document breaks its lines."""
    return re.sub(r"\s+", "", text)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT)
