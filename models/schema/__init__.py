"""JSON schemas as grammars: what a model may write next, so that what it has written is valid."""
