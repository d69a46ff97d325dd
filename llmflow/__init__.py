"""Grounded answers from an organisation's own documents, Korean first.

This package is the library and the command line. It needs Python 3.11 or newer and
nothing else: no GPU, no server, no model download. No torch, Dify or vLLM in here.
"""

__version__ = "0.1.0"
