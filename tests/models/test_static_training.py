from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
import pytest

from llmflow.errors import InvalidInputError
from llmflow.korean import AnalyzedText, Sentence, analyze
from llmflow.models.sparse import SparseVector, encode_query
from llmflow.models.static_corpus import TrainingCorpus
from llmflow.models.static_embedder import StaticEmbedder, weigh
from llmflow.models.static_training import initial_table, train
from llmflow.settings import TrainingSettings

TOPICS, TEXTS = 12, 96
SETTINGS = TrainingSettings(dimensions=16, steps=120, epochs=1000, batch_size=48, learning_rate=0.02)


def sentence(*words: str) -> Sentence:
    return Sentence(0, 0, words, words)


def corpus() -> list[AnalyzedText]:
    """Texts of twelve topics; a title and its body speak of the topic in different words."""
    rng = np.random.default_rng(5)
    texts = []
    for number in range(TEXTS):
        topic = number % TOPICS
        body = [f"body{topic}-{i}" for i in rng.choice(8, 5, replace=False)] + [f"any{rng.integers(40)}"]
        more = [f"body{topic}-{i}" for i in rng.choice(8, 4, replace=False)] + [f"any{rng.integers(40)}"]
        title = [f"title{topic}-{i}" for i in rng.choice(4, 2, replace=False)]
        texts.append(AnalyzedText((sentence(*body), sentence(*more)), (sentence(*title),)))
    return texts


def vector(sentences: Sequence[Sentence]) -> SparseVector:
    return {key: count for stream in encode_query(sentences).values() for key, count in stream.items()}


def trained(texts: Sequence[AnalyzedText] | None = None, settings: TrainingSettings = SETTINGS) -> StaticEmbedder:
    embedder = train(corpus() if texts is None else texts, settings)
    assert embedder is not None
    return embedder


def test_it_learns_which_words_speak_of_the_same_thing() -> None:
    texts = corpus()
    embedder = trained(texts)
    # Bodies and questions have no word in common.
    bodies = embedder.encode([vector(text.body) for text in texts])
    questions = embedder.encode(
        [vector([sentence(*(f"title{topic}-{i}" for i in range(4)))]) for topic in range(TOPICS)]
    )
    best = np.argsort(-(questions @ bodies.T), axis=1)[:, : TEXTS // TOPICS]
    assert np.mean(best % TOPICS == np.arange(TOPICS)[:, None]) > 0.9
    assert embedder.trained_on == TEXTS
    assert embedder.settings == SETTINGS


def test_given_pairs_teach_what_the_texts_do_not_say() -> None:
    texts = [AnalyzedText((sentence(f"left{i % 20}", f"filler{i % 3}"),)) for i in range(40)]
    texts += [AnalyzedText((sentence(f"right{i % 20}", f"filler{i % 3}"),)) for i in range(40)]
    pairs = [(AnalyzedText((sentence(f"left{i % 20}"),)), 40 + i) for i in range(40)]

    def agreement(embedder: StaticEmbedder | None) -> float:
        assert embedder is not None
        left, right = (
            embedder.encode([vector([sentence(f"{side}{i}")]) for i in range(20)]) for side in ("left", "right")
        )
        return float(np.mean(np.argmax(left @ right.T, axis=1) == np.arange(20)))

    assert agreement(train(texts, SETTINGS)) < 0.5
    assert agreement(train(texts, SETTINGS, given_pairs=pairs)) > 0.9


def test_the_same_seed_gives_the_same_embedder() -> None:
    short = SETTINGS.model_copy(update={"steps": 10})
    assert trained(settings=short).version == trained(settings=short).version
    assert trained(settings=short).version != trained(settings=short.model_copy(update={"seed": 14})).version


def test_it_reports_progress_and_stops_when_told() -> None:
    stop = threading.Event()
    seen: list[tuple[int, int]] = []

    def progress(done: int, steps: int) -> None:
        seen.append((done, steps))
        if done == 3:
            stop.set()

    assert train(corpus(), SETTINGS, progress, stop) is None
    assert seen == [(1, 120), (2, 120), (3, 120)]


def test_small_corpora_take_fewer_steps() -> None:
    seen: list[tuple[int, int]] = []
    train(corpus(), SETTINGS.model_copy(update={"epochs": 2.5}), lambda *step: seen.append(step))
    assert seen == [(step, 5) for step in range(1, 6)]  # 2.5 x 96 texts in batches of 48


@pytest.mark.parametrize(
    "texts",
    [
        [],
        [AnalyzedText((sentence("alone"),))],
        [AnalyzedText((sentence("alone"),)), AnalyzedText((sentence("lonely"),)), AnalyzedText(())],
    ],
)
def test_texts_with_nothing_in_common_are_refused(texts: list[AnalyzedText]) -> None:
    with pytest.raises(InvalidInputError, match="at least 2"):
        train(texts, SETTINGS)


def test_a_given_pair_must_name_a_text() -> None:
    with pytest.raises(InvalidInputError, match=f"text {TEXTS}; texts are numbered from 0 to {TEXTS - 1}"):
        train(corpus(), SETTINGS, given_pairs=[(corpus()[0], TEXTS)])


def test_odd_texts_do_no_harm() -> None:
    odd = [
        AnalyzedText(()),
        AnalyzedText((), title=(sentence("title0-1"),)),
        AnalyzedText((sentence(), sentence("unheard"), sentence("body0-1"))),
        AnalyzedText((sentence(),), path=(sentence("title1-1"),)),
    ]
    embedder = trained(corpus() + odd)
    assert np.isfinite(embedder.table).all()
    assert embedder.trained_on == TEXTS + 4


def test_pairs_are_what_they_say() -> None:
    """Every sampled pair is title and body, sentence and rest, or two parts of one text."""
    texts = corpus()
    training = TrainingCorpus(texts)
    names = {term: column for column, term in enumerate(training.terms)}
    title, body = (
        [{names[key] for key in vector(getattr(text, field)) if key in names} for text in texts]
        for field in ("title", "body")
    )
    sentences = [[{names[key] for key in vector([one]) if key in names} for one in text.body] for text in texts]
    left, right = training.sample(TEXTS, np.random.default_rng(0))
    kinds = {"title": 0, "sentence": 0, "part": 0}
    for row in range(TEXTS):
        one, two = (set(side[[row]].indices) for side in (left, right))
        if (one, two) in zip(title, body, strict=True):
            kinds["title"] += 1
        elif any(one == s[i] and two == t | s[1 - i] for t, s in zip(title, sentences, strict=True) for i in (0, 1)):
            kinds["sentence"] += 1
        else:
            assert any(one | two <= t | b for t, b in zip(title, body, strict=True))
            kinds["part"] += 1
    assert min(kinds.values()) > TEXTS / 6
    # Body 1, title 2: what stands in both counts three times.
    assert set(training.counts.data) <= {1, 2, 3}


def test_the_initial_table_holds_the_singular_vectors() -> None:
    training = TrainingCorpus(corpus())
    weights = weigh(training.counts, training.idf)
    dense = weights.toarray() / np.linalg.norm(weights.toarray(), axis=1, keepdims=True)
    exact = np.linalg.svd(dense)[2][:80].T
    table = initial_table(weights, 80, np.random.default_rng(0))
    exact /= np.linalg.norm(exact, axis=1, keepdims=True)
    # The same up to the sign of an axis: inner products agree.
    np.testing.assert_allclose(table @ table.T, exact @ exact.T, atol=1e-2)


def test_dimensions_beyond_the_rank_stay_zero() -> None:
    embedder = trained(corpus()[:60:TOPICS], SETTINGS.model_copy(update={"dimensions": 64}))
    assert embedder.table.shape[1] == 64
    assert not embedder.table[:, 5:].any()


def test_korean_and_english_texts_find_each_other() -> None:
    subjects = [
        ("연차휴가 leave", "직원은 매년 15일의 연차휴가를 쓸 수 있다. 남은 휴가는 다음 해로 넘어가지 않는다."),
        ("출장비 travel", "출장비는 영수증을 붙여 청구한다. 숙박비는 하루 십만 원까지 지급한다."),
        ("비밀번호 password", "비밀번호는 90일마다 바꾼다. 비밀번호를 다른 사람에게 알리지 않는다."),
        ("재택근무 remote", "재택근무는 주 2일까지 할 수 있다. 근무 시간에는 메신저에 접속한다."),
    ]
    bodies = list(analyze([body for _, body in subjects] * 3))
    titles = list(analyze([title for title, _ in subjects] * 3))
    texts = [AnalyzedText(tuple(body), tuple(title)) for body, title in zip(bodies, titles, strict=True)]
    embedder = trained(texts, TrainingSettings(dimensions=8, steps=60, batch_size=8))
    found = embedder.encode([vector(body) for body in bodies[:4]])
    asked = embedder.encode([vector(words) for words in analyze(["leave", "travel", "password", "remote"])])
    assert list(np.argmax(asked @ found.T, axis=1)) == [0, 1, 2, 3]
