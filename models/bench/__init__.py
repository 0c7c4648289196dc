"""How fast a model reads and writes on this machine, measured."""
