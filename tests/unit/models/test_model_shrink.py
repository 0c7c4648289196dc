"""What is left of a conversation that is too long."""

from hypothesis import given
from hypothesis import strategies as st

from models.server.messages import Turn, TurnCall
from models.server.shrink import ELLIPSIS, shrunk

FRAME = 8


def say(*contents: str) -> list[Turn]:
    """System first, then user and assistant in turn."""
    roles = ["system", *(["user", "assistant"] * len(contents))]
    return [{"role": role, "content": content} for role, content in zip(roles, contents, strict=False)]


def size(messages: list[Turn]) -> int:
    return sum(len(message["content"]) + FRAME for message in messages)


def test_what_fits_is_left_alone() -> None:
    messages = say("be kind", "hi", "hello", "how are you?")
    assert shrunk(messages, size(messages), len) == messages


def test_the_oldest_turns_go_first_and_the_systems_words_stay() -> None:
    messages = say("be kind", "x" * 50, "y" * 50, "z" * 50, "w" * 50, "and now?")
    left = shrunk(messages, size(messages) - 50, len)
    assert [message["content"][0] for message in left] == ["b", "y", "z", "w", "a"]


def test_nothing_is_left_out_from_the_middle_of_what_is_kept() -> None:
    messages = say("s", "a" * 9, "b" * 90, "c" * 9, "d" * 9, "e")
    left = shrunk(messages, 80, len)
    assert [message["content"][0] for message in left] == ["s", "c", "d", "e"]


def test_a_text_that_is_too_long_alone_keeps_its_beginning_and_its_end() -> None:
    [message] = shrunk([{"role": "user", "content": "first " + "word " * 1000 + "last"}], 200, len)
    assert message["content"].startswith("first ")
    assert message["content"].endswith("last")
    assert ELLIPSIS in message["content"]
    assert len(message["content"]) <= 200


def test_short_texts_are_not_cut_for_the_sake_of_long_ones() -> None:
    left = shrunk(say("be kind", "x" * 1000), 300, len)
    assert left[0]["content"] == "be kind"
    assert len(left[1]["content"]) > 200


def exchange(letter: str, *, answered: bool = True) -> list[Turn]:
    call: TurnCall = {"id": letter, "type": "function", "function": {"name": "f", "arguments": {}}}
    result: Turn = {"role": "tool", "content": letter * 20, "tool_call_id": letter}
    return [{"role": "assistant", "content": "", "tool_calls": [call]}, *([result] if answered else [])]


def test_calls_go_with_their_results() -> None:
    messages = [*say("s", "a"), *exchange("x"), *exchange("y"), {"role": "user", "content": "q"}]
    for room in range(20, 400, 7):
        left = shrunk(messages, room, len)
        called = {call["id"] for turn in left for call in turn.get("tool_calls", [])}
        assert called == {turn["tool_call_id"] for turn in left if turn["role"] == "tool"}


def test_last_results_keep_their_call() -> None:
    left = shrunk([*say("s", "a" * 100), *exchange("x")], 30, len)
    assert [turn["role"] for turn in left] == ["system", "assistant", "tool"]


def test_prefix_of_the_answer_is_never_cut() -> None:
    prefix: Turn = {"role": "assistant", "content": "y" * 50, "prefix": True}
    left = shrunk([*say("s", "x" * 1000), prefix], 200, len)
    assert left[-1] == prefix
    assert ELLIPSIS in left[-2]["content"]


@given(st.lists(st.text(max_size=200), min_size=1, max_size=12), st.integers(100, 3000))
def test_it_fits_and_the_end_is_there(contents: list[str], room: int) -> None:
    messages = say(*contents)
    left = shrunk(messages, room, len)
    slack = len(left) * (FRAME + len(ELLIPSIS))
    assert size(left) <= max(room, 0) + slack
    assert left[-1]["role"] == messages[-1]["role"]
    assert left[-1]["content"][-1:] == messages[-1]["content"][-1:] or ELLIPSIS in left[-1]["content"]
