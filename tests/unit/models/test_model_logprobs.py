"""How likely each token was, told with the text that it belongs to."""

import numpy as np
import pytest
from scripted import Rig, ScriptedBackend

from models.engine.event import Event, Piece, TokenScore
from models.engine.likelihood import LEAST_LOGPROB, likelihood
from models.engine.params import MOST_ALTERNATIVES, SamplingParams
from models.engine.tally import Tally


def told(events: list[Event]) -> list[tuple[str, bytes]]:
    """The text of each piece, and what its tokens spell."""
    return [(e.text, b"".join(token.piece for token in e.tokens)) for e in events if isinstance(e, Piece)]


def test_probabilities_are_those_of_a_softmax_over_the_row() -> None:
    row = np.log(np.array([0.1, 0.6, 0.3], np.float32)) + np.float32(7.0)
    found = likelihood(row, 2, 2)
    assert np.exp(found.logprob) == pytest.approx(0.3, rel=1e-5)
    assert [token for token, _ in found.top] == [1, 2]
    assert [np.exp(logprob) for _, logprob in found.top] == pytest.approx([0.6, 0.3], rel=1e-5)


def test_token_is_told_although_no_alternative_is_wanted() -> None:
    assert likelihood(np.zeros(4, np.float32), 1, 0).top == ()


def test_row_smaller_than_the_number_of_alternatives_tells_all_of_it() -> None:
    assert len(likelihood(np.zeros(4, np.float32), 1, 20).top) == 4


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("value", [-np.inf, np.nan])
def test_what_is_impossible_is_a_number_that_json_knows(value: float) -> None:
    assert likelihood(np.array([1.0, value], np.float32), 1, 2).logprob == LEAST_LOGPROB


def test_sure_token_is_no_likelier_than_certain() -> None:
    assert likelihood(np.array([100.0, 0.0], np.float32), 0, 1).logprob == 0.0


def test_more_alternatives_than_openai_has_are_refused() -> None:
    with pytest.raises(ValueError, match="logprobs"):
        SamplingParams(max_tokens=1, seed=0, logprobs=MOST_ALTERNATIVES + 1)


def test_sequence_that_asks_for_none_is_told_none() -> None:
    rig = Rig()
    _, events = rig.submit()
    rig.turn(3)
    assert told(events) == [("o", b""), ("k", b"")]


def test_each_token_comes_with_its_text() -> None:
    rig = Rig()
    _, events = rig.submit(logprobs=1)
    rig.turn(3)
    assert told(events) == [("o", b"o"), ("k", b"k")]
    assert events[1] == Piece("o", (TokenScore(b"o", -float(ord("o")), ((b"?", -1.0),)),), drawn=1)


def test_tokens_whose_text_is_held_back_come_with_the_piece_that_releases_it() -> None:
    rig = Rig(ScriptedBackend("a EN x"))
    _, events = rig.submit(stop=(" END",), logprobs=0)
    rig.turn(7)
    assert told(events) == [("a", b"a"), (" EN", b" EN"), (" x", b" x")]


def test_tokens_of_a_stop_string_are_not_told() -> None:
    rig = Rig(ScriptedBackend("one END two"))
    _, events = rig.submit(stop=(" END",), logprobs=0)
    rig.turn(7)
    assert told(events) == [("o", b"o"), ("n", b"n"), ("e", b"e")]


def test_tokens_held_back_at_the_end_are_told() -> None:
    rig = Rig(ScriptedBackend("abE"))
    _, events = rig.submit(max_tokens=3, stop=("END",), logprobs=0)
    rig.turn(3)
    assert told(events) == [("a", b"a"), ("b", b"b"), ("E", b"E")]


def test_parts_of_a_character_are_told_when_it_is_whole() -> None:
    rig = Rig(ScriptedBackend("a🫠"))
    _, events = rig.submit(logprobs=0)
    rig.turn(6)
    assert told(events) == [("a", b"a"), ("🫠", "🫠".encode())]


def test_character_that_stays_unfinished_is_not_told() -> None:
    rig = Rig(ScriptedBackend("a🫠"))
    _, events = rig.submit(max_tokens=3, logprobs=0)
    rig.turn(3)
    assert told(events) == [("a", b"a")]


def test_what_the_client_has_of_a_token_is_not_told_again() -> None:
    rig = Rig(ScriptedBackend("wor\x01d"))
    _, events = rig.submit(healing=b"wo", logprobs=0)
    rig.turn(6)
    assert told(events)[0] == ("r", b"r")


def test_score_waits_for_its_text_and_is_told_once() -> None:
    tally = Tally()
    assert tally.release("", TokenScore(b"E", -1.0), held=1) == ()
    assert tally.release("E") == (TokenScore(b"E", -1.0),)
    assert tally.release("more") == ()
