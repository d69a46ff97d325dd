from __future__ import annotations

from llmflow.korean import AnalyzedText, Sentence
from llmflow.models.sparse import analyze_chunks, dimension, encode, encode_query, split_passages
from llmflow.schema import Chunk
from llmflow.settings import RetrievalSettings


def chunk(text: str, title: str = "", path: tuple[str, ...] = ()) -> Chunk:
    return Chunk("c", "d", "t", "a", 0, text, title, "n.pdf", section_path=path)


def encoded(settings: RetrievalSettings, text: str, title: str = "", path: tuple[str, ...] = ()) -> dict[int, float]:
    return encode(analyze_chunks([chunk(text, title, path)])[0], settings).chunk


def test_dimensions_are_stable_and_tell_the_streams_apart() -> None:
    assert dimension("휴가", "grams") + 1 == dimension("휴가", "words")
    # Stored vectors live on: another hash would make every stored document unfindable.
    assert dimension("휴가", "words") == 821_478_093


def test_a_term_counts_by_where_it_stands() -> None:
    settings = RetrievalSettings(title_weight=2.0, path_weight=0.5)
    key = dimension("휴가", "words")
    assert encoded(settings, "휴가와 휴가")[key] == 2
    assert encoded(settings, "휴가", title="휴가 규정", path=("휴가 규정", "휴가"))[key] == 1 + 2 + 2 * 0.5
    bare = RetrievalSettings(title_weight=0.0, path_weight=0.0)
    assert encoded(bare, "출장", title="휴가 규정") == encoded(bare, "출장")


def test_title_and_path_are_in_every_passage() -> None:
    body = [Sentence(0, 1, ("가나",) * 100, ("본문",)), Sentence(1, 2, ("다라",) * 100, ("본문",))]
    text = AnalyzedText(tuple(body), title=(Sentence(0, 1, (), ("제목",)),))
    passages = encode(text, RetrievalSettings(title_weight=3.0)).passages
    assert len(passages) == 2
    assert [passage[dimension("제목", "words")] for passage in passages] == [3.0, 3.0]
    assert dimension("다라", "grams") not in passages[0]


def test_passages_are_whole_sentences_of_limited_size() -> None:
    sizes = [50, 50, 50, 300, 1, 119, 1]
    body = [Sentence(i, i + 1, ("가나",) * size, ()) for i, size in enumerate(sizes)]
    runs = [[len(s.grams) for s in passage] for passage in split_passages(body)]
    assert runs == [[50, 50], [50], [300], [1, 119], [1]]
    assert split_passages([]) == [[]]


def test_analysis_of_many_equals_analysis_of_each() -> None:
    chunks = [chunk(text, title, path) for text, title, path in [
        ("연차휴가는 15일이다.", "휴가 규정", ("휴가 규정", "연차")),
        ("Leave is paid.", "Handbook", ()),
        ("", "휴가 규정", ()),
    ]]  # fmt: skip
    assert analyze_chunks(chunks) == [analyze_chunks([each])[0] for each in chunks]


def test_a_question_is_split_by_stream() -> None:
    sentence = Sentence(0, 1, ("연차", "차휴", "휴가", "휴가"), ("연차", "휴가"))
    query = encode_query([sentence])
    assert query["grams"][dimension("휴가", "grams")] == 2
    assert query["words"] == {dimension("연차", "words"): 1, dimension("휴가", "words"): 1}
    assert encode_query([]) == {"grams": {}, "words": {}}
