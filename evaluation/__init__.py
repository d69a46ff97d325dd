"""How good and how fast: metrics and benchmarks of LLMFlow beside its peers."""
