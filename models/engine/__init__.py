"""The engine: sequences in, tokens out, one thread that owns llama.cpp."""
