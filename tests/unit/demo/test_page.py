"""The parts of the page say what happened, in colours only where there are any."""

import pytest

from proxy.demo.incident import Attempts, Incident
from proxy.demo.page import Ink, Page, page_for, plain
from proxy.demo.story import CLOUD_MODEL, Answer, Piece, Times, story

PLAIN = Page(is_live=False, columns=80)
LIVE = Page(is_live=True, columns=80)
STORY = story(None, is_fast=True)
INCIDENT = Incident(
    attempts=(Attempts("cloud", "cut", 1), Attempts("local", "ok", 2)),
    resumed=(("cloud", "local"),),
    results={"answered": 1, "broken_off": 3},
)
ANSWER = Answer(
    100.0,
    {"x-hotspare-upstream": "local", "x-hotspare-reason": "cloud: connect", "x-other": "1"},
    [Piece(0.25, "Paris", CLOUD_MODEL), Piece(0.5, ".", "small")],
)


def rows(text: str) -> list[tuple[str, str]]:
    """Label and value of each row of a table."""
    cells = [line.strip().partition("  ") for line in text.splitlines()]
    return [(label, value.strip()) for label, gap, value in cells if gap]


def test_opening_says_when_the_plug_is_pulled() -> None:
    assert f"After {len(STORY.words)} words" in PLAIN.opening(STORY)


def test_times_are_a_table() -> None:
    table = rows(PLAIN.times(Times(0.1, 2.0, 2.125, longest_silence=0.25, whole=3.5)))
    assert table == [
        ("first word", "+0.10 s"),
        ("plug pulled", "+2.00 s"),
        ("next word after that", "+2.12 s"),
        ("longest silence", "0.25 s"),
        ("whole answer", "+3.50 s"),
    ]


def test_what_never_happened_has_no_time() -> None:
    assert ("plug pulled", "-") in rows(PLAIN.times(Times(0.1, None, None, longest_silence=0.25, whole=3.5)))


def test_incident_names_attempts_rescue_and_result() -> None:
    assert rows(PLAIN.incident(INCIDENT)) == [
        ("1 attempt at cloud", "cut"),
        ("2 attempts at local", "ok"),
        ("went on for cloud", "local"),
        ("result for the client", "answered: 1, broken_off: 3, errors: 3"),
    ]


def test_origin_of_an_answer_is_what_its_headers_say() -> None:
    assert rows(PLAIN.origin(ANSWER)) == [
        ("x-hotspare-upstream", "local"),
        ("x-hotspare-reason", "cloud: connect"),
        ("first word after", "0.25 s"),
    ]


def test_legend_names_the_local_model() -> None:
    assert PLAIN.legend(ANSWER).strip() == "the cloud ⚡ small, the local model"


def test_closing_says_where_to_connect() -> None:
    assert 'base_url="http://127.0.0.1:8080/v1"' in PLAIN.closing("http://127.0.0.1:8080/v1")


@pytest.mark.parametrize("page", [PLAIN, LIVE])
def test_colours_are_for_terminals(page: Page) -> None:
    parts = [
        page.opening(STORY),
        page.first_question("Why?"),
        page.second_question("Why?"),
        page.legend(ANSWER),
        page.incident(INCIDENT),
        page.origin(ANSWER),
        page.closing("http://127.0.0.1:8080/v1"),
    ]
    assert all(("\x1b" in part) is page.is_live for part in parts)


def test_colour_ends_where_its_text_does() -> None:
    assert LIVE.inked("x", Ink.LOCAL) == "\x1b[32mx\x1b[0m"


@pytest.mark.parametrize(
    ("is_terminal", "environment", "is_live"),
    [
        (True, {"TERM": "xterm"}, True),
        (True, {"NO_COLOR": ""}, True),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"TERM": "dumb"}, False),
        (False, {"TERM": "xterm"}, False),
    ],
)
def test_page_lives_where_colours_are_wanted(is_terminal: bool, environment: dict[str, str], is_live: bool) -> None:
    assert page_for(is_terminal, environment, 80).is_live is is_live


def test_plain_text_moves_no_cursor() -> None:
    assert plain("a\tb\x1b[2J\rc\nd é 漢") == "a b [2J c\nd é 漢"
