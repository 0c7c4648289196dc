"""Importing opens nothing and loads nothing heavy: a command line answers --help at once."""

import subprocess
import sys

import pytest

from tests.architecture.source import ROOT

HEAVY = {
    "proxy": {"aiohttp", "asyncio", "msgspec", "prometheus_client", "uvloop", "yaml"},
    "proxy.cli": {"aiohttp", "uvloop"},
    "proxy.config.load": {"aiohttp", "asyncio", "uvloop"},
    "models": {"aiohttp", "asyncio", "jinja2", "llama_cpp", "numpy"},
    "models.cli": {"asyncio", "llama_cpp", "models.bench", "models.download", "models.fit", "numpy"},
}


@pytest.mark.parametrize("module", HEAVY)
def test_import_loads_nothing_heavy(module: str) -> None:
    script = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert HEAVY[module].isdisjoint(done.stdout.split())
