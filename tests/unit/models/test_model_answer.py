import pytest

from models.engine.event import Ended, Finish, Piece, TokenScore
from models.server.answer import Answer, Reasoned, Recast, Said
from models.server.offer import Function, Offer
from models.server.thinking import Thoughts
from models.tools.format import FORMATS
from models.tools.lead import lead_of
from models.tools.parser import CallParser
from models.tools.told import Arguments, CallBegun

OFFER = Offer({"f": Function("f")}, ["f"], is_forced=False, is_single=True, is_legacy=False, finish="tool_calls")


def with_tools(ahead: str = "") -> Answer:
    return Answer(CallParser(FORMATS["hermes"]), OFFER, ahead)


def score(text: str) -> tuple[TokenScore, ...]:
    return (TokenScore(text.encode(), -1.0),)


def test_answer_without_tools_is_words_as_they_come() -> None:
    answer = Answer()
    assert answer.take(Piece("<tool_call>", score("<"))) == [Said("<tool_call>", score("<"))]
    assert answer.reason(Finish.STOP) == "stop"


def test_answer_that_calls_ends_as_the_client_expects() -> None:
    answer = with_tools()
    parts = answer.take(Piece('<tool_call>\n{"name": "f", "arguments": {}}\n</tool_call>'))
    assert (parts, answer.end(Finish.STOP)) == ([CallBegun(0, "f"), Arguments(0, "{}")], [])
    assert [answer.reason(finish) for finish in (Finish.STOP, Finish.LENGTH)] == ["tool_calls", "length"]


def test_answer_that_could_have_called_ends_as_any_other() -> None:
    answer = with_tools()
    assert answer.take(Piece("No.")) == [Said("No.")]
    assert answer.reason(Finish.STOP) == "stop"


def test_tokens_of_held_words_are_told_with_them_and_those_of_calls_never() -> None:
    answer = with_tools()
    assert answer.take(Piece("<", score("<"))) == []
    assert answer.take(Piece("b", score("b"))) == [Said("<b", score("<") + score("b"))]
    assert answer.take(Piece('<tool_call>\n{"name": "f"', score("x"))) == [CallBegun(0, "f")]


def test_thoughts_are_told_apart_from_words_and_calls() -> None:
    answer = Answer(CallParser(FORMATS["hermes"]), OFFER, thoughts=Thoughts(is_open=False))
    assert answer.take(Piece("<think>Hm", score("x"))) == [Reasoned("Hm")]
    assert answer.take(Piece('.</think>\n\nYes<tool_call>\n{"name": "f', score("y"))) == [
        Reasoned("."),
        Said("Yes"),
    ]
    assert answer.take(Piece('", "arguments": {}}')) == [CallBegun(0, "f"), Arguments(0, "{}")]


def test_thoughts_that_the_limit_ends_are_thoughts() -> None:
    answer = Answer(thoughts=Thoughts(is_open=True))
    assert answer.take(Piece("So <")) == [Reasoned("So")]
    assert answer.end(Finish.LENGTH) == [Reasoned(" <")]
    assert answer.thought_tokens(Ended(Finish.LENGTH, 2, 0)) == 2


def test_thoughts_that_end_by_themselves_without_a_word_are_the_answer() -> None:
    answer = Answer(thoughts=Thoughts(is_open=True))
    answer.take(Piece("It is 4. ", drawn=3))
    assert answer.end(Finish.STOP) == [Reasoned(" "), Recast(), Said("It is 4. ")]
    assert answer.thought_tokens(Ended(Finish.STOP, 3, 0)) == 0


def test_call_among_thoughts_without_an_end_is_a_call() -> None:
    answer = Answer(CallParser(FORMATS["hermes"]), OFFER, thoughts=Thoughts(is_open=True))
    answer.take(Piece('Look.<tool_call>\n{"name": "f", "arguments": {}}\n</tool_call>'))
    assert answer.end(Finish.STOP) == [Recast(), Said("Look."), CallBegun(0, "f"), Arguments(0, "{}")]
    assert answer.reason(Finish.STOP) == "tool_calls"


def test_thoughts_that_were_closed_are_never_the_answer() -> None:
    answer = Answer(thoughts=Thoughts(is_open=True))
    assert answer.take(Piece("Hm.</think>\n")) == [Reasoned("Hm.")]
    assert answer.end(Finish.STOP) == []


def test_what_is_foregone_is_told_before_anything_is_generated() -> None:
    answer = with_tools('<tool_call>\n{"name": "f", "arguments": ')
    assert answer.begin() == [CallBegun(0, "f")]
    assert answer.take(Piece('{"a')) == [Arguments(0, '{"a')]


PLAIN = '{"name": "f", "arguments": {}}'


def plain(thoughts: Thoughts | None = None) -> Answer:
    form = FORMATS["hermes"]
    return Answer(CallParser(form, lead_of(form, ["f"])), OFFER, thoughts=thoughts)


def test_call_in_plain_json_ends_as_the_client_expects() -> None:
    answer = plain()
    assert answer.take(Piece(PLAIN, score("x"))) == [CallBegun(0, "f"), Arguments(0, "{}")]
    assert (answer.end(Finish.STOP), answer.reason(Finish.STOP)) == ([], "tool_calls")


def test_json_that_breaks_off_before_it_is_a_call_is_words_with_their_tokens() -> None:
    answer = plain()
    assert answer.take(Piece('{"name"', score('{"name"'))) == []
    assert answer.take(Piece(': "f', score(': "f'))) == []
    assert answer.end(Finish.LENGTH) == [Said('{"name": "f', score('{"name"') + score(': "f'))]
    assert answer.reason(Finish.LENGTH) == "length"


@pytest.mark.parametrize("thought", ["<think>Hm.</think>\n\n", "<think></think>", "\n"])
def test_call_in_plain_json_may_come_behind_thoughts(thought: str) -> None:
    answer = plain(Thoughts(is_open=False))
    assert answer.take(Piece(thought + PLAIN))[-2:] == [CallBegun(0, "f"), Arguments(0, "{}")]


def test_thoughts_that_turn_out_to_be_a_call_are_told_as_one() -> None:
    answer = plain(Thoughts(is_open=True))
    assert answer.take(Piece(PLAIN)) == [Reasoned(PLAIN)]
    assert answer.end(Finish.STOP)[-2:] == [CallBegun(0, "f"), Arguments(0, "{}")]
    assert answer.reason(Finish.STOP) == "tool_calls"
