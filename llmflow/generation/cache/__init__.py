"""Answers given before, found again by what a question says.

A wrong answer from the cache is worse than a missing one: only questions that say the same in
other particles, endings, politeness, spacing or punctuation share an answer, only within one
tenant and one set of departments, and only while every document behind it is what it was.
"""

from __future__ import annotations

from llmflow.generation.cache.answers import AnswerCache, Lookup
from llmflow.generation.cache.vector import question_vector

__all__ = ["AnswerCache", "Lookup", "question_vector"]
