"""The trainer, and the hooks by which it enters LLaMA-Factory."""
