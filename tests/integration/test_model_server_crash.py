"""A model server that dies whenever it starts: how it dies decides how the next one is started."""

from pathlib import Path

import pytest

from proxy.upstreams.local import ModelServerSettings
from tests.integration.stillborn import ends_of

pytestmark = pytest.mark.slow

PRECAUTIONS = ("--amx", "off")


async def told_at_start(
    folder: Path, monkeypatch: pytest.MonkeyPatch, death: str, precautions: tuple[str, ...] = PRECAUTIONS
) -> tuple[list[list[str]], list[str]]:
    """The arguments of three children that died so, and what was said of their ends."""
    heard = folder / "heard"
    settings = ModelServerSettings(
        ("--amx", "auto"), str(folder / "s"), heartbeat_seconds=20, hang_seconds=20, precautions=precautions
    )
    ends = await ends_of(f'echo "$@" >> {heard}\n{death}', settings, folder, monkeypatch)
    return [line.split()[-2:] for line in heard.read_text().splitlines()], ends


@pytest.mark.parametrize("fault", ["ILL", "ABRT", "SEGV", "BUS", "FPE"])
async def test_after_a_fault_of_llama_cpp_the_next_one_does_without_what_may_have_caused_it(
    fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts, ends = await told_at_start(tmp_path, monkeypatch, f"kill -{fault} $$")
    assert starts == [["--amx", "auto"], ["--amx", "off"], ["--amx", "off"]]
    assert ends[0] == f"killed by SIG{fault}; from now on it is served with --amx off"


@pytest.mark.parametrize(("death", "end"), [("kill -KILL $$", "killed by SIGKILL"), ("exit 1", "exited with status 1")])
async def test_other_ends_say_nothing_about_it(
    death: str, end: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await told_at_start(tmp_path, monkeypatch, death) == ([["--amx", "auto"]] * 3, [end] * 3)


async def test_what_was_asked_for_is_kept_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert await told_at_start(tmp_path, monkeypatch, "kill -ILL $$", ()) == (
        [["--amx", "auto"]] * 3,
        ["killed by SIGILL"] * 3,
    )
