"""The small world of the course: its words, its grammars and its texts."""
