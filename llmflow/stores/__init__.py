"""Where things are kept: vectors, database, objects. Every call takes a Scope."""
