"""From passages to an answer with citations. Knows nothing of storage or parsing."""
