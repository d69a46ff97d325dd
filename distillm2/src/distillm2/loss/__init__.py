"""Divergences between teacher and student on response tokens, in chunks of tokens; knows tensors only."""
