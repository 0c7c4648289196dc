"""How much memory a model takes, whether that is there, and which model is the best for a machine."""
