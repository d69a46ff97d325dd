from __future__ import annotations

import pytest

from llmflow.generation.sentences import SentenceBuffer

TEXT = (
    "연차는 15일입니다. [1] 2026. 3. 1.부터 시행합니다[2].\n\n1. 첫째, 3.5일입니다 [1]\n2. 둘째는 e.g. 이렇습니다."
    " [1][2] [근로기준법]에 따릅니다. 끝"
)
SENTENCES = [
    "연차는 15일입니다. [1]",
    " 2026. 3. 1.부터 시행합니다[2].",
    "\n\n1. 첫째, 3.5일입니다 [1]",
    "\n2. 둘째는 e.g. 이렇습니다. [1][2]",
    " [근로기준법]에 따릅니다.",
    " 끝",
]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_sentences_do_not_depend_on_how_the_text_arrives(size: int) -> None:
    buffer = SentenceBuffer()
    found = [sentence for i in range(0, len(TEXT), size) for sentence in buffer.feed(TEXT[i : i + size])]
    assert [*found, buffer.flush()] == SENTENCES


def test_a_sentence_is_given_out_as_soon_as_the_next_begins() -> None:
    buffer = SentenceBuffer()
    assert buffer.feed("One day. [1]") == []
    assert buffer.feed(" ") == []
    assert buffer.feed("T") == ["One day. [1]"]
