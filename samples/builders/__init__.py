"""Writers of the sample documents: Markdown in, one office format out, the same bytes every time."""
