"""A server that speaks the form of Text Embeddings Inference, and embeds by counting letters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from json_server import Answer, JsonServer, json_server

LETTERS = "abcdefgh가나신연용장출휴"


def letters(text: str) -> list[float]:
    return [float(text.count(letter)) for letter in LETTERS]


def weights(text: str) -> list[dict[str, Any]]:
    return [{"index": 10 + at, "value": 0.5 * count} for at, count in enumerate(letters(text))]


Change = Callable[[str, Any], Answer | None]


@contextmanager
def tei(
    change: Change = lambda path, body: None, splade: bool = False, limit: int = 2, model: str = "org/Letters-v1.5"
) -> Iterator[JsonServer]:
    """A server that counts letters; ``change`` may answer differently."""

    def decide(path: str, body: Any) -> Answer:
        if changed := change(path, body):
            return changed
        if path == "/info":
            return Answer({"model_id": model, "max_client_batch_size": limit, "max_input_length": 512})
        if len(body["inputs"]) > limit:
            return Answer({"error": "batch size", "error_type": "Validation"}, status=413)
        if path == "/embed":
            assert body["truncate"]
            return Answer([letters(text) for text in body["inputs"]])
        if path == "/embed_sparse" and splade:
            return Answer([weights(text) for text in body["inputs"]])
        return Answer({"error": "Model is not an embedding model with SPLADE pooling"}, status=424)

    with json_server(decide=decide) as server:
        yield server
