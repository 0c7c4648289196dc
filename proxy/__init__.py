"""Hotspare's network side: the proxy that keeps OpenAI clients answered when the cloud goes away."""

__version__ = "0.1.0"
