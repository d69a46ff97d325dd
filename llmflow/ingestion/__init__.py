"""From a file to stored chunks: a list of small stages."""
