"""From a question to ranked candidates: a list of small stages."""
