"""Options that several commands share, with their bounds."""

from __future__ import annotations

from typing import Annotated

import typer

TEMPERATURE, TOP_P, MAX_TOKENS = 0.8, 0.95, 1024  # of the paper, as in data.endpoint, which loads httpx

Temperature = Annotated[float, typer.Option(min=0.0, help="Of the sampling.")]
TopP = Annotated[float, typer.Option(min=0.0, max=1.0, help="Of the sampling.")]
MaxTokens = Annotated[
    int, typer.Option(min=1, help="A response that reaches it is marked as truncated, and no pair is made of it.")
]
Concurrency = Annotated[int, typer.Option(min=1, help="Requests under way at a time.")]
KeyVariable = Annotated[
    str | None, typer.Option(help="Environment variable with the API key.", show_default="OPENAI_API_KEY, if it is set")
]
