"""Chat sessions: history within a token budget, follow-up questions, answers that can be resumed.

It keeps no documents and searches none; it hands a question that stands alone to the answer
flow. No HTTP here.
"""
