import pytest

from models.engine.text import Assembler, StopFilter


def test_character_split_over_tokens_comes_out_whole() -> None:
    flag = "🇫🇷".encode()
    assembler = Assembler(())
    outs = [assembler.feed(flag[i : i + 1]) for i in range(len(flag))]
    assert [out for out in outs if out] == ["🇫", "🇷"]


def test_bytes_that_are_no_text_become_replacement_characters() -> None:
    assert Assembler(()).feed(b"a\xffb") == "a\ufffdb"


def test_character_left_unfinished_is_dropped() -> None:
    assembler = Assembler(())
    assert assembler.feed("é".encode()[:1]) + assembler.flush() == ""


def test_possible_beginning_of_a_stop_string_is_held_back() -> None:
    stops = StopFilter(("\n\nUser:",))
    assert stops.feed("Hi\n") == "Hi"
    assert stops.feed("there") == "\nthere"


def test_stop_string_over_three_pieces_ends_the_text() -> None:
    stops = StopFilter(("STOP",))
    assert [stops.feed(piece) for piece in ("aS", "TO", "Pb")] == ["a", "", ""]
    assert stops.is_stopped


def test_nothing_comes_after_a_stop() -> None:
    stops = StopFilter(("x",))
    stops.feed("x")
    assert stops.feed("more") == ""


def test_stop_completed_first_wins_over_the_one_that_starts_first() -> None:
    assert StopFilter(("abcd", "b")).feed("abcd") == "a"


def test_longer_stop_wins_when_both_end_together() -> None:
    assert StopFilter(("b", "ab")).feed("xab") == "x"


@pytest.mark.parametrize("text", ["", "plain", "STO"])
def test_flush_gives_back_what_was_held(text: str) -> None:
    stops = StopFilter(("STOP",))
    assert stops.feed(text) + stops.flush() == text


def test_self_overlapping_stop_is_found() -> None:
    stops = StopFilter(("aab",))
    assert stops.feed("aa") + stops.feed("ab") == "a"


def test_stop_that_began_in_what_is_out_already_ends_the_text() -> None:
    stops = StopFilter(("STOP",), "so S")
    assert (stops.feed("TO"), stops.feed("P and"), stops.is_stopped) == ("", "", True)


def test_what_is_out_already_does_not_come_again() -> None:
    stops = StopFilter(("STOP",), "so S")
    assert stops.feed("un") + stops.flush() == "un"
