"""Names that a question covers, against the formula written out."""

from __future__ import annotations

import math
import random

import pytest

from llmflow.stores.graph.names import NameIndex


def reference(names: dict[str, tuple[tuple[str, ...], set[str]]], question: set[str]) -> dict[str, float]:
    """Scores by name, one at a time."""
    df: dict[str, int] = {}
    for terms, _ in names.values():
        for term in set(terms):
            df[term] = df.get(term, 0) + 1
    idf = {term: math.log(1 + (len(names) - n + 0.5) / (n + 0.5)) for term, n in df.items()}
    scores = {}
    for name, (terms, chunks) in names.items():
        covered = sum(idf[term] for term in set(terms) & question)
        share = covered / sum(idf[term] for term in set(terms))
        if share >= 0.3:
            scores[name] = share**2 * covered / (covered + 3) / (1 + math.log(len(chunks)))
    return scores


def test_names_come_and_go_and_scores_stay_those_of_the_formula() -> None:
    chance = random.Random(7)
    words = [f"w{n}" for n in range(40)]
    index, names = NameIndex(), {}  # type: ignore[var-annotated]
    for step in range(600):
        if names and chance.random() < 0.45:
            name = chance.choice(sorted(names))
            chunk = chance.choice(sorted(names[name][1]))
            index.remove(name, chunk)
            names[name][1].discard(chunk)
            if not names[name][1]:
                del names[name]
        else:
            name = f"n{chance.randrange(60)}"
            terms = names[name][0] if name in names else tuple(chance.sample(words, chance.randint(1, 5)))
            names.setdefault(name, (terms, set()))[1].add(f"c{step}")
            index.add(name, name, terms, f"c{step}")
        if step % 20 == 0:
            question = set(chance.sample(words, 8)) | {"unknown"}
            found = {name: score for score, name, _ in index.match(question)}
            assert found == pytest.approx(reference(names, question))
            assert {name: set(chunks) for _, name, chunks in index.match(question)} == {
                name: names[name][1] for name in found
            }
            assert len(index) == len(names)


def test_a_question_that_names_nothing() -> None:
    index = NameIndex()
    assert list(index.match(["leave"])) == []
    index.add("e", "annual leave", ["annual", "leave"], "c")
    assert list(index.match([])) == []
    assert list(index.match(["sick"])) == []
