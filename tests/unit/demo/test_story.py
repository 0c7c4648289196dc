"""What is told of an answer: whether it is whole, and when its parts came."""

import pytest

from proxy.demo.story import CLOUD_MODEL, Answer, Piece, Story, Times, shortcoming, story, times

BEGINNING = "Once upon"
WHOLE = ((0.5, "Once"), (1.0, " upon"), (1.75, " a time"), (2.0, "."))


def answer(*said: tuple[float, str], clouds: int = 2, finish_reason: str = "stop", is_done: bool = True) -> Answer:
    """Of these texts at these times; the first `clouds` of them are the cloud's."""
    models = [CLOUD_MODEL] * clouds + ["small"] * (len(said) - clouds)
    pieces = [Piece(at, text, model) for (at, text), model in zip(said, models, strict=True)]
    return Answer(100.0, {}, pieces, finish_reason, is_done, seconds=2.5)


@pytest.mark.parametrize("beginning", ["Once upon a time", "It is, in short,\nso", "one"])
def test_words_of_the_cloud_are_its_text(beginning: str) -> None:
    words = Story("?", beginning, "?", 0.1, 0.0).words
    assert ("".join(words), len(words)) == (beginning, len(beginning.split()))


def test_visitors_question_is_asked_and_begun_without_knowing_it() -> None:
    usual, own = story(None, is_fast=True), story("Why is the sky blue?", is_fast=True)
    assert own.question == "Why is the sky blue?"
    assert own.beginning != usual.beginning


def test_who_is_in_a_hurry_waits_for_nothing_but_the_models() -> None:
    assert story(None, is_fast=True).reading_seconds == 0
    assert story(None, is_fast=True).word_seconds < story(None, is_fast=False).word_seconds


def test_answer_that_goes_on_and_ends_is_whole() -> None:
    assert shortcoming(answer(*WHOLE), BEGINNING) == ""


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (answer(*WHOLE[:2]), "said nothing"),
        (Answer(100.0), "as they were said"),
        (answer((0.5, "Once"), *WHOLE), "as they were said"),
        (answer(*WHOLE, is_done=False), "without saying that it had"),
        (answer(*WHOLE, finish_reason=""), "without saying that it had"),
        (Answer(100.0, error="503: nobody is left"), "503: nobody is left"),
    ],
)
def test_answer_that_is_not_whole_is_told_apart(given: Answer, why: str) -> None:
    assert why in shortcoming(given, BEGINNING)


def test_times_are_those_that_the_application_noticed() -> None:
    assert times(answer(*WHOLE), 1.25) == Times(0.5, 1.25, 1.75, longest_silence=0.75, whole=2.5)


def test_answer_that_never_came_has_no_times() -> None:
    assert times(Answer(100.0, seconds=0.25), None) == Times(None, None, None, longest_silence=0.0, whole=0.25)
