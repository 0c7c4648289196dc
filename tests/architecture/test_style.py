"""What `make lint` says is part of the suite: a branch that is not clean does not pass."""

import subprocess
import sys

import pytest

from tests.running import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.mark.parametrize("command", ["ruff check", "ruff format --check", "mypy"])
def test_linters_have_nothing_to_say(command: str) -> None:
    tool, *arguments = command.split()
    result = subprocess.run(
        [sys.executable, "-m", tool, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
