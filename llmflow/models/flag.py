"""Loads models with FlagEmbedding, the extra ``bge``."""

from __future__ import annotations

from typing import Any, Literal

from llmflow.errors import ConfigurationError


def load_flag_model(
    kind: Literal["BGEM3FlagModel", "FlagReranker"], section: str, model: str, **options: Any
) -> tuple[Any, str]:
    """FlagEmbedding's object for a model, ready for forward passes, and its device: the first GPU where there is one.

    Args:
        section: of the settings, for messages.
        model: a folder, or a name of the hub.

    Raises:
        ConfigurationError: FlagEmbedding is not installed, or the model cannot be loaded.
    """
    try:
        import FlagEmbedding
        import torch
        from transformers.utils import logging
    except ImportError as error:
        raise ConfigurationError(
            f"{section}.provider needs FlagEmbedding ({error}); run: pip install 'llmflow[bge]'",
            param=f"{section}.provider",
        ) from error
    logging.disable_progress_bar()  # it would be drawn into the server's log
    device = "cuda:0" if torch.cuda.is_available() else "cpu"
    try:
        loaded = getattr(FlagEmbedding, kind)(model, use_fp16=device != "cpu", devices=device, **options)
    except Exception as error:  # whatever the libraries below raise for a model that is not there or is broken
        raise ConfigurationError(
            f"{section}.model={model} cannot be loaded: {' '.join(str(error).split())[:300]}; give a folder that holds"
            " the model, or the name of one that can be downloaded",
            param=f"{section}.model",
        ) from error
    if device != "cpu":
        loaded.model.half()
    loaded.model.to(device).eval()
    return loaded, device
