"""The seam: what is taken back, what can stand there, what of it is new."""

import pytest

from models.engine.healing import NO_SEAM, Healing, Seam, roll_back
from models.engine.pieces import PieceIndex

# Tokens 4 to 6 spell one character: é is two bytes, and the flag's first letter four of which token 5 has two.
PIECES = [b"<s>", b"Hello", b" wor", b" world", b"\xf0", b"\x9f\x87", b"\xab", b"", b"w", b" ", b" w", b"!"]
INDEX = PieceIndex(PIECES, end_tokens={0})


def test_last_token_is_taken_back() -> None:
    assert roll_back([0, 1, 2], PIECES.__getitem__, delivered=2) == ([0, 1], b" wor")


def test_word_is_taken_back_whole() -> None:
    assert roll_back([0, 1, 10, 11, 11], PIECES.__getitem__, delivered=4) == ([0, 1], b" w!!")


def test_of_a_text_without_spaces_the_end_is_taken_back() -> None:
    assert roll_back([0, 11, 11, 11, 11, 11], PIECES.__getitem__, delivered=5) == ([0, 11], b"!!!!")


def test_character_is_taken_back_whole() -> None:
    assert roll_back([0, 10, 4, 5, 6, 11, 11], PIECES.__getitem__, delivered=6) == ([0, 10], b"\xf0\x9f\x87\xab!!")


def test_template_is_never_taken_back() -> None:
    assert roll_back([0, 4, 5, 6], PIECES.__getitem__, delivered=2) == ([0, 4], b"\x9f\x87\xab")


def test_nothing_delivered_is_nothing_owed() -> None:
    assert roll_back([0, 1], PIECES.__getitem__, delivered=0) == ([0, 1], b"")


def test_silent_token_at_the_end_is_taken_back_with_the_one_before() -> None:
    assert roll_back([0, 1, 2, 7], PIECES.__getitem__, delivered=3) == ([0, 1], b" wor")


@pytest.mark.parametrize(
    ("owed", "tokens"),
    [
        (b" wor", {2, 3, 9, 10}),
        (b" world", {2, 3, 9, 10}),
        (b"w", {8}),
        (b"\xf0\x9f", {4}),
        (b"?", set()),
        (b"<s", set()),
    ],
)
def test_tokens_at_the_seam_begin_with_what_is_owed_or_spell_its_beginning(owed: bytes, tokens: set[int]) -> None:
    assert set(INDEX.leading_to(owed).tolist()) == tokens


def test_two_tokens_of_one_spelling_can_both_stand_at_the_seam() -> None:
    index = PieceIndex([b"a", b"a", b"b"], end_tokens=())
    assert sorted(index.leading_to(b"ab").tolist()) == [0, 1]


def test_token_without_text_that_is_no_end_is_mute() -> None:
    assert PieceIndex([b"", b"", b"a"], end_tokens={1}).mute.tolist() == [True, False, False]


def test_only_what_goes_beyond_the_owed_is_new() -> None:
    assert Healing(b" wor").feed(b" world") == b"ld"


def test_after_the_seam_everything_is_new() -> None:
    healing = Healing(b" w")
    healing.feed(b" w")
    assert healing.feed(b" w") == b" w"


def test_contradiction_ends_the_healing_and_is_new_altogether() -> None:
    healing = Healing(b" wor")
    assert (healing.feed(b"!"), healing.feed(b" world")) == (b"!", b" world")


def test_answer_is_kept_up_to_what_is_owed() -> None:
    seam = Seam(b"Hello wor", b" wor")
    assert (seam.kept, seam.due) == (b"Hello", b" wor")


def test_space_of_the_tokenizers_own_is_owed_and_not_due() -> None:
    seam = Seam(b"wor", b" wor")
    assert (seam.kept, seam.due) == (b"", b"wor")


def test_no_seam_keeps_nothing_and_owes_nothing() -> None:
    assert (NO_SEAM.kept, NO_SEAM.due, NO_SEAM.owed) == (b"", b"", b"")


@pytest.mark.parametrize(
    ("text", "tokens"),
    [(b"", []), (b"Hello wor", [1, 2]), (b" worw", [2, 8]), (b" w w!", [10, 10, 11]), (b"\xf0\x9f\x87\xab", [4, 5, 6])],
)
def test_text_is_spelled_by_the_longest_tokens(text: bytes, tokens: list[int]) -> None:
    assert INDEX.spell(text) == tokens


@pytest.mark.parametrize("text", [b"<s>", b"Hello?", b" wo"])
def test_text_with_a_byte_that_no_token_begins_with_cannot_be_spelled(text: bytes) -> None:
    assert INDEX.spell(text) is None
