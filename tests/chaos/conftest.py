"""The cloud that fails as told, and the real model behind it."""

from tests.integration.conftest import local_url, upstream

__all__ = ["local_url", "upstream"]
