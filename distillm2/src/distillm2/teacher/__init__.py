"""Where target probabilities come from: a teacher in memory or a cache on disk; knows ``loss`` but no trainer."""
