"""DistiLLM-2 (arXiv 2503.07067) as a stage of LLaMA-Factory, with its data tools.

Rooms: ``loss`` (formulas, no LLaMA-Factory), ``teacher`` (where target probabilities come from), ``stage`` (the trainer
and how it enters LLaMA-Factory), ``webui`` (LlamaBoard's fields and plots), ``data`` (generation, pairs, licences),
``experiments`` (sweeps, the memory plan), ``cli``.
"""

__version__ = "0.1.0"
