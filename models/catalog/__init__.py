"""Which model file: the table of known models and where they lie."""
