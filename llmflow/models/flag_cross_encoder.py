"""BGE rerankers (Chen et al. 2024) in this process.

FlagEmbedding loads the model. Its ``compute_score`` runs the first batch twice, to find a size
that fits; here the model is called directly, and the deadline looked at between batches.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import numpy as np

from llmflow.errors import ConfigurationError, DeadlineError
from llmflow.models.cross_encoder import Floats
from llmflow.models.embedder import name_part
from llmflow.models.flag import load_flag_model
from llmflow.settings import CrossEncoderSettings


class FlagCrossEncoder:
    """A cross-encoder with one output, of a folder or a hub; on the first GPU where there is one.

    Raises:
        ConfigurationError: FlagEmbedding is not installed, or the model cannot be loaded.
    """

    def __init__(self, settings: CrossEncoderSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()  # tokenizers are not safe between threads, and one forward pass fills the device
        self._reranker, self._device = load_flag_model("FlagReranker", "cross_encoder", settings.model)
        config = self._reranker.model.config
        # XLM-R counts positions from the padding id on.
        self._max_tokens = min(settings.max_tokens, int(config.max_position_embeddings) - 2)
        self.version = f"flagembedding_{name_part(settings.model)}"

    def scores(self, query: str, passages: Sequence[str], deadline: float) -> Floats:
        """Sigmoid of the model's output for each passage; pairs too long are cut."""
        scores = np.empty(len(passages), np.float32)
        order = sorted(range(len(passages)), key=lambda at: -len(passages[at]))  # alike lengths need little padding
        with self._lock:
            for start in range(0, len(order), self._settings.batch_size):
                if time.monotonic() >= deadline:
                    raise DeadlineError(
                        f"{start} of {len(passages)} passages were scored when the time was over; raise"
                        " cross_encoder.deadline_s or lower cross_encoder.depth",
                        param="cross_encoder.deadline_s",
                    )
                batch = order[start : start + self._settings.batch_size]
                scores[batch] = self._forward(query, [passages[at] for at in batch])
        return scores

    def _forward(self, query: str, passages: list[str]) -> Floats:
        import torch

        tokens = self._reranker.tokenizer(
            [query] * len(passages),
            passages,
            padding=True,
            truncation=True,
            max_length=self._max_tokens,
            return_tensors="pt",
        )
        try:
            with torch.inference_mode():
                logits = self._reranker.model(**tokens.to(self._device)).logits
        except torch.OutOfMemoryError as error:
            raise ConfigurationError(
                f"the GPU has too little memory for cross_encoder.batch_size={self._settings.batch_size} passages;"
                " lower it, or cross_encoder.max_tokens",
                param="cross_encoder.batch_size",
            ) from error
        return np.asarray(torch.sigmoid(logits.reshape(-1).float()).cpu().numpy())
