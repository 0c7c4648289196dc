"""Settings for the whole suite, and the one thing that several kinds of tests need: the model's file."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import settings

from models.catalog.catalog import DEFAULT_MODEL
from models.catalog.locate import models_folder, resolve

# A shared two-core machine pauses whole processes: how long one example takes says nothing about the code.
settings.register_profile("hotspare", deadline=None, max_examples=100)
settings.load_profile("hotspare")

# A shell without job control starts what runs in the background with Ctrl-C ignored, and children inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_unconfigure() -> None:
    """Close what llama_cpp opens when it is imported and leaves to the interpreter, which complains at its end."""
    if llama := sys.modules.get("llama_cpp._utils"):
        llama.outnull_file.close()
        llama.errnull_file.close()


@pytest.fixture(scope="session")
def model_file() -> Path:
    """The default model's file, pulled if it is not here."""
    subprocess.run([sys.executable, "-m", "models", "pull", DEFAULT_MODEL], check=True, timeout=600)
    return resolve(DEFAULT_MODEL, models_folder(os.environ)).path
