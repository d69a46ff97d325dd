"""Plan, work, review, write: how a question over several steps is answered with tools."""
