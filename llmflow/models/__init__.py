"""Small clients of models: embedder, LLM. No pipeline logic in here."""
