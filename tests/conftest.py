"""Settings for the whole suite, and the one thing that several kinds of tests need: the model's file."""

import subprocess
import sys

import pytest
from hypothesis import settings

from models.catalog.catalog import DEFAULT_MODEL

# A shared two-core machine pauses whole processes: how long one example takes says nothing about the code.
settings.register_profile("hotspare", deadline=None, max_examples=100)
settings.load_profile("hotspare")


@pytest.fixture(scope="session")
def model_file() -> None:
    """The default model is on this machine."""
    subprocess.run([sys.executable, "-m", "models", "pull", DEFAULT_MODEL], check=True)
