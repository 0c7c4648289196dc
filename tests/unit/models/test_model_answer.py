from models.engine.event import Finish, Piece, TokenScore
from models.server.answer import Answer, Reasoned, Said
from models.server.offer import Function, Offer
from models.server.thinking import Thoughts
from models.tools.format import FORMATS
from models.tools.parser import Arguments, CallBegun, CallParser

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
    assert (parts, answer.end()) == ([CallBegun(0, "f"), Arguments(0, "{}")], [])
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


def test_thoughts_without_an_end_are_told_as_thoughts() -> None:
    answer = Answer(thoughts=Thoughts(is_open=True))
    assert answer.take(Piece("So <")) == [Reasoned("So")]
    assert answer.end() == [Reasoned(" <")]


def test_what_is_foregone_is_told_before_anything_is_generated() -> None:
    answer = with_tools('<tool_call>\n{"name": "f", "arguments": ')
    assert answer.begin() == [CallBegun(0, "f")]
    assert answer.take(Piece('{"a')) == [Arguments(0, '{"a')]
