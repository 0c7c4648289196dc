"""A growing answer on the page: nothing is lost, lines fit, and the seam shows who wrote what."""

import pytest

from proxy.demo.flow import Flow
from proxy.demo.page import SEAM, Page
from proxy.demo.story import CLOUD_MODEL, Piece

PLAIN = Page(is_live=False, columns=40)
LIVE = Page(is_live=True, columns=40)
CLOUD = ("The spare", " runs be", "fore", " it is", " need")
LOCAL = ("ed, so", " that", "\n\n", "nobody", " has to wait ", "for", " it", " at", " all.")


def shown(page: Page, cloud: tuple[str, ...] = CLOUD, local: tuple[str, ...] = LOCAL) -> str:
    flow = Flow(page)
    pieces = [Piece(0.0, text, CLOUD_MODEL) for text in cloud] + [Piece(0.0, text, "small") for text in local]
    return "".join(map(flow.put, pieces))


def test_no_word_is_lost_or_doubled() -> None:
    assert shown(PLAIN).replace(SEAM, "").split() == "".join(CLOUD + LOCAL).split()


def test_seam_stands_where_the_writer_changes() -> None:
    before, _, after = shown(PLAIN).partition(SEAM)
    assert before.split() == "".join(CLOUD).split()
    assert after.split() == "".join(LOCAL).split()


def test_answer_by_one_writer_has_no_seam() -> None:
    assert SEAM not in shown(PLAIN, cloud=())


@pytest.mark.parametrize("columns", [20, 40, 80, 200])
def test_lines_fit(columns: int) -> None:
    page = Page(is_live=False, columns=columns)
    lines = shown(page, local=(" word",) * 100).splitlines()
    assert max(map(len, lines)) <= columns
    assert all(line.startswith("  ") and line[2] != " " for line in lines)


def test_narrowest_of_terminals_is_no_reason_to_stop() -> None:
    assert shown(Page(is_live=False, columns=1)).replace(SEAM, "").split()


def test_paragraphs_stay() -> None:
    assert "that\n\n  nobody" in shown(Page(is_live=False, columns=80))


def test_writers_have_their_colours_on_a_terminal_only() -> None:
    cloud, _, local = shown(LIVE).partition(SEAM)
    assert "\x1b[36m" in cloud
    assert "\x1b[32m" in local
    assert "\x1b" not in shown(PLAIN)


def test_model_does_not_command_the_terminal() -> None:
    assert "\x1b" not in shown(PLAIN, local=("\x1b[2J", "\r", "\x07", "gone?"))
