"""The local model: an OpenAI-compatible server for one GGUF file, in a process of its own.

Importing this package loads nothing: llama.cpp is loaded by ``models.engine.llama`` alone, when a model is served.
"""

__version__ = "0.1.0"
