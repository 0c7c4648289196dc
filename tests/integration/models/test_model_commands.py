"""The commands that look at a machine, as users run them."""

import json
import subprocess
import sys

import pytest

from models.catalog.catalog import CATALOG, DEFAULT_MODEL


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "models", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.slow
def test_fit_judges_every_model_of_the_catalogue() -> None:
    done = run("fit", "--json")
    assert done.returncode == 0, done.stderr
    assert [model["name"] for model in json.loads(done.stdout)["models"]] == list(CATALOG)


@pytest.mark.slow
@pytest.mark.model
@pytest.mark.timeout(300)
@pytest.mark.usefixtures("model_file")
def test_bench_measures_up_to_32_sequences() -> None:
    done = run("bench", DEFAULT_MODEL, "--seconds", "1", "--json")
    assert done.returncode == 0, done.stderr
    measured = json.loads(done.stdout)["measured"]
    assert [rates["sequences"] for rates in measured] == [1, 2, 4, 8, 16, 32]
    assert all(rates["read_tokens_per_second"] > 0 and rates["written_tokens_per_second"] > 0 for rates in measured)


@pytest.mark.slow
@pytest.mark.model
@pytest.mark.usefixtures("model_file")
def test_verify_hashes_the_file_again() -> None:
    done = run("verify", DEFAULT_MODEL)
    assert done.returncode == 0, done.stderr
    assert "as the catalogue said" in done.stderr


@pytest.mark.parametrize("command", ["bench", "verify"])
def test_model_that_is_not_here_is_told_how_to_fetch(
    command: str, tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOTSPARE_MODELS", str(tmp_path))
    done = run(command, DEFAULT_MODEL)
    assert done.returncode == 3
    assert f"hotspare model pull {DEFAULT_MODEL}" in done.stderr
