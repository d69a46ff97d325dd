"""Entities and relations of a document, for the graph.

What a chunk is about (its headings, its article, the work it belongs to), what it mentions (statute
references, names) and how these relate; by rules, and by the LLM where one is configured. Works on
masked chunks only and writes nothing.
"""
