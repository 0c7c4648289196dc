"""The wait for the local model: a line that changes on a terminal, a line for each phase elsewhere."""

from proxy.demo.page import Page
from proxy.demo.progress import Progress
from proxy.telemetry.events import Phase

PLAIN = Page(is_live=False, columns=80)
LIVE = Page(is_live=True, columns=80)


def test_each_phase_is_one_plain_line() -> None:
    progress = Progress(PLAIN)
    said = [progress.step(phase, 1.0) for phase in (Phase.LOADING, Phase.LOADING, Phase.WARMING, Phase.WARMING)]
    assert said == ["  the local model is loading\n", "", "  the local model is warming\n", ""]


def test_terminal_has_one_line_that_changes() -> None:
    progress = Progress(LIVE)
    said = progress.step(Phase.LOADING, 0.1) + progress.step(Phase.LOADING, 0.2) + progress.ready("small", 0.3)
    assert said.count("\n") == 1
    assert said.count("\r\x1b[K") == 3
    assert "0.2 s" in said


def test_download_is_told_once_and_its_line_left_alone() -> None:
    progress = Progress(LIVE)
    first, second = progress.step(Phase.FETCHING, 0.1), progress.step(Phase.FETCHING, 0.2)
    assert (first[-1], second) == ("\n", "")


def test_server_that_is_yet_to_be_started_is_not_called_down() -> None:
    assert Progress(PLAIN).step(Phase.DOWN, 0.0) == ""


def test_ready_names_the_model() -> None:
    assert Progress(PLAIN).ready("small", 1.25) == "  small is ready after 1.2 s\n"


def test_what_comes_after_a_failure_has_a_line_of_its_own() -> None:
    assert (Progress(LIVE).failed(), Progress(PLAIN).failed()) == ("\n", "")
