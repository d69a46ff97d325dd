"""LLaMA-Factory imports torchaudio whether or not there is sound in the data; the published build needs CUDA.

Text models train without it. Whatever is asked of this module says what to install.
"""

from __future__ import annotations

__version__ = "2.13.0+cpu"


def __getattr__(name: str) -> object:
    if name.startswith("__"):
        raise AttributeError(name)
    raise ImportError(f"torchaudio.{name} needs a real torchaudio; this environment trains on text only")
