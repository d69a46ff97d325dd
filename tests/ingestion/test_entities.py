"""What the rules find: subjects, references, definitions, names, and a document's part of the graph."""

from __future__ import annotations

from typing import Any

import pytest

from llmflow.ingestion.entities.definitions import find_definitions
from llmflow.ingestion.entities.headings import Heading, Subject, read_heading, subject_of
from llmflow.ingestion.entities.names import find_names
from llmflow.ingestion.entities.references import act_above, find_references
from llmflow.ingestion.entities.rules import draft_by_rules
from llmflow.schema import Chunk
from llmflow.stores.graph import About, DocumentGraph, name_key


def chunk(id_: str = "c", text: str = "", **fields: Any) -> Chunk:
    values = {
        "document_id": "doc",
        "tenant": "acme",
        "department": "hr",
        "ordinal": 0,
        "title": "",
        "document_name": "a.pdf",
    }
    return Chunk(id=id_, text=text, **values | fields)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("민법 제750조(불법행위의 내용)", ("민법", "제750조", "불법행위의 내용")),
        ("약관의 규제에 관한 법률 제31조의2(자문위원)", ("약관의 규제에 관한 법률", "제31조의2", "자문위원")),
        ("제60조(연차 유급휴가(정기))", (None, "제60조", "연차 유급휴가(정기)")),
        ("제 5 조 의 2", (None, "제5조의2", None)),
        ("제2절 계약의 해제", (None, None, "계약의 해제")),
        ("3.2 지급 기준", (None, None, "지급 기준")),
        ("4. 해외 출장", (None, None, "해외 출장")),
        ("M. Ward (musician)", (None, None, "M. Ward")),
        ("2001 A Space Odyssey", (None, None, "2001 A Space Odyssey")),
        ("제3장", (None, None, None)),
        ("", (None, None, None)),
    ],
)
def test_headings(text: str, parts: tuple[str | None, ...]) -> None:
    assert read_heading(text) == Heading(*parts)


@pytest.mark.parametrize(
    ("fields", "subject"),
    [
        # An article that is a document of its own, as in a collection of articles.
        (
            {"title": "민법 제2조(신의성실)", "section_path": ("제1편 총칙", "제1장 통칙")},
            ("민법", "제2조", "신의성실"),
        ),
        # An article of a statute that was ingested whole.
        (
            {"title": "근로기준법", "section_path": ("제4장 휴가", "제60조(연차 유급휴가)"), "article": "제60조"},
            ("근로기준법", "제60조", "연차 유급휴가"),
        ),
        ({"title": "근로기준법", "section_path": ("제4장 휴가",), "article": "제60조"}, ("근로기준법", "제60조", None)),
        # A rule book names its rules in the path.
        (
            {"title": "사규집", "section_path": ("여비 규정", "제2장 국내", "제7조(일비)"), "article": "제7조"},
            ("여비 규정", "제7조", "일비"),
        ),
        ({"title": "경비 규정", "section_path": ("3. 국내 출장", "3.2 지급 기준")}, ("경비 규정", None, "지급 기준")),
        ({"title": "Haymo of Faversham"}, ("Haymo of Faversham", None, "Haymo of Faversham")),
        ({}, (None, None, None)),
    ],
)
def test_what_a_chunk_is_about(fields: dict[str, Any], subject: tuple[str | None, ...]) -> None:
    assert subject_of(chunk(**fields)) == Subject(*subject)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("제5조제1항에 따라", [("갑법", "제5조")]),
        ("제5조 및 제7조의2제3항", [("갑법", "제5조"), ("갑법", "제7조의2")]),
        ("제5조부터 제7조까지", [("갑법", "제5조"), ("갑법", "제6조"), ("갑법", "제7조")]),
        ("「형법」 제250조 및 제251조의 죄", [("형법", "제250조"), ("형법", "제251조")]),
        ("「형법」 제250조의 죄를 범한 자는 제7조에 따른다", [("형법", "제250조"), ("갑법", "제7조")]),
        ("「형법」에 따른다. 같은 법 제3조는", [("형법", None), ("형법", "제3조")]),
        ("「형법」 제1조를 준용하되 이 법 제4조를 따른다", [("형법", "제1조"), ("갑법", "제4조")]),
        ("전조의 규정", [("갑법", "제2조")]),
        ("「형법」 제1조, 전조와 제5조", [("형법", "제1조"), ("갑법", "제2조"), ("갑법", "제5조")]),
        ("제3조에 따라", []),  # itself
        ("3조 원의 예산과 제1항", []),
        ("「국가를 당사자로 하는 계약에 관한 법률」 제9조", [("국가를 당사자로 하는 계약에 관한 법률", "제9조")]),
    ],
)
def test_references(text: str, found: list[tuple[str, str | None]]) -> None:
    assert list(find_references(text, "갑법", "제3조", "제2조")) == found


def test_references_of_decrees_go_up() -> None:
    assert list(find_references("법 제10조제2항", "갑법 시행령", "제3조", None)) == [("갑법", "제10조")]
    assert list(find_references("영 제10조", "갑법 시행규칙", "제3조", None)) == [("갑법 시행령", "제10조")]
    assert list(find_references("방법 제10조", "갑법 시행령", "제3조", None)) == [("갑법 시행령", "제10조")]
    assert [act_above(work) for work in ("갑법 시행령", "갑법시행규칙", "갑법", "시행령")] == [
        "갑법",
        "갑법",
        None,
        None,
    ]


def test_text_that_is_no_statute_refers_only_to_works_it_names() -> None:
    found = list(find_references("제5조와 「근로기준법」 제60조를 본다. 같은 법 제61조도.", None, None, None))
    assert found == [("근로기준법", "제60조"), ("근로기준법", "제61조")]


def test_definitions() -> None:
    text = '1. "선불전자지급수단"이란 가치를 말한다. 2. “접근매체”라 함은 수단을 말한다. "그 밖의 것"은 다르다.'
    assert list(find_definitions(text)) == ["선불전자지급수단", "접근매체"]
    assert list(find_definitions('"Service" means what we offer; "fee" is what you pay.')) == ["Service"]


@pytest.mark.parametrize(
    ("text", "wanted", "unwanted"),
    [
        ("The film was directed by Ward Roberts in 2006.", {"Ward Roberts"}, {"The", "The film"}),
        ("He met Haymo of Faversham there.", {"Haymo of Faversham", "Haymo", "Faversham"}, {"He"}),
        ("Minority Leader Scott Howell spoke.", {"Scott Howell"}, set()),
        ("The Beatles played.", {"Beatles", "The Beatles"}, set()),
        ("영화 「기생충」과 《설국열차》를 보았다.", {"기생충", "설국열차"}, set()),
        ("전화 [PHONE_NUMBER], 담당 [PERSON]", set(), {"PHONE_NUMBER", "PERSON"}),
        ("손해배상 책임을 진다.", set(), {"손해배상"}),
    ],
)
def test_names(text: str, wanted: set[str], unwanted: set[str]) -> None:
    found = set(find_names(text))
    assert wanted <= found
    assert not unwanted & found


def statute() -> DocumentGraph:
    title = "갑법 시행령"
    return draft_by_rules(
        [
            chunk("1", '"접근매체"란 카드를 말한다.', title=title, section_path=("제2조(정의)",), article="제2조"),
            chunk(
                "2",
                "전조 및 법 제9조에 따라 제5조를 준용한다.",
                title=title,
                section_path=("제3조(준용)",),
                article="제3조",
            ),
            chunk("2b", "② 제9조", title=title, section_path=("제3조(준용)",), article="제3조"),
        ]
    ).finish()


def test_a_statute_as_a_graph() -> None:
    part = statute()
    assert part.chunks == ("1", "2", "2b")
    article2, article3 = name_key("갑법 시행령 제2조"), name_key("갑법 시행령 제3조")
    assert About("1", article2, "article") in part.abouts
    assert About("1", name_key("접근매체"), "name") in part.abouts
    assert About("2b", name_key("갑법 시행령"), "work") in part.abouts
    relations = {(relation.subject, relation.relation_type, relation.object) for relation in part.relations}
    assert relations == {
        (name_key("접근매체"), "defined_in", article2),
        (article3, "refers_to", article2),  # 전조
        (article3, "refers_to", name_key("갑법 제9조")),
        (article3, "refers_to", name_key("갑법 시행령 제5조")),
        (article3, "refers_to", name_key("갑법 시행령 제9조")),
        (name_key("갑법 시행령"), "subordinate_to", name_key("갑법")),
    }


def test_whatever_an_edge_names_is_an_entity_and_its_chunk_names_it() -> None:
    part = statute()
    named = {(about.chunk_id, about.entity) for about in part.abouts}
    named |= {(mention.chunk_id, mention.entity) for mention in part.mentions}
    assert {key for _, key in named} == set(part.entities)
    for relation in part.relations:
        assert (relation.chunk_id, relation.subject) in named
        assert (relation.chunk_id, relation.object) in named


def test_names_that_chunks_are_about_have_terms_without_particles() -> None:
    part = draft_by_rules([chunk(title="휴가 규정", section_path=("3. 연차휴가의 신청",), text="신청한다.")]).finish()
    assert set(part.entities[name_key("연차휴가의 신청")].terms) == {"연차", "차휴", "휴가", "신청"}
    assert part.entities[name_key("휴가 규정")].terms == ()
