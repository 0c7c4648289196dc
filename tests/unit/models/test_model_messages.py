"""From the messages of clients to the turns of templates."""

from typing import Any

import msgspec
import pytest

from models.errors import RequestError
from models.server.messages import Message, Turn, plain_messages, text_of


def plain(*messages: dict[str, Any], continues: bool = False) -> list[Turn]:
    return plain_messages(msgspec.convert(list(messages), list[Message]), continues=continues)


def call(call_id: str, name: str = "f", arguments: str = '{"a": 1}') -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def calling(*calls: dict[str, Any]) -> dict[str, Any]:
    return {"role": "assistant", "content": None, "tool_calls": list(calls)}


def refused(*messages: dict[str, Any], continues: bool = False) -> RequestError:
    with pytest.raises(RequestError) as caught:
        plain(*messages, continues=continues)
    assert caught.value.status == 400
    return caught.value


@pytest.mark.parametrize(
    ("role", "known"), [("developer", "system"), ("function", "tool"), ("user", "user"), ("assistant", "assistant")]
)
def test_role_is_one_that_templates_know(role: str, known: str) -> None:
    assert plain({"role": role, "content": "x"})[0]["role"] == known


def test_parts_that_are_text_are_joined() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "input_text", "text": "b"}, {"type": "refusal", "refusal": "c"}]
    assert plain({"role": "user", "content": parts})[0]["content"] == "abc"


@pytest.mark.parametrize("kind", ["image_url", "input_audio", "file", "video"])
def test_part_that_is_no_text_is_refused_by_its_place(kind: str) -> None:
    spoken: dict[str, Any] = {"role": "user", "content": "x"}
    error = refused(spoken, {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": kind}]})
    assert (error.param, error.code) == ("messages[1].content[1]", "unsupported")
    assert str(error).startswith("the local model takes text only: messages[1].content[1]")


def test_part_without_its_text_is_refused() -> None:
    assert refused({"role": "user", "content": [{"type": "text"}]}).param == "messages[0].content[0]"


def test_refusal_is_what_the_assistant_said() -> None:
    assert plain({"role": "assistant", "content": None, "refusal": "no"})[0]["content"] == "no"


def test_thoughts_of_the_assistant_come_along() -> None:
    turns = plain({"role": "assistant", "content": None, "reasoning_content": "hm", "tool_calls": [call("1")]})
    assert (turns[0]["reasoning_content"], turns[0]["content"]) == ("hm", "")
    assert text_of(turns[0]).startswith("hm")


@pytest.mark.parametrize(("role", "thought"), [("user", "hm"), ("tool", "hm"), ("assistant", ""), ("assistant", None)])
def test_nobody_else_and_nothing_is_no_thought(role: str, thought: str | None) -> None:
    assert "reasoning_content" not in plain({"role": role, "content": "x", "reasoning_content": thought})[0]


def test_arguments_of_a_call_are_values() -> None:
    [turn] = plain(calling(call("1", arguments='{"a": [1, "\u00e9"]}')))
    assert turn["tool_calls"][0]["function"] == {"name": "f", "arguments": {"a": [1, "é"]}}


@pytest.mark.parametrize("arguments", ['{"a": ', "[1]", "3", "{" * 5000])
def test_arguments_that_are_no_json_object_stay_text(arguments: str) -> None:
    [turn] = plain(calling(call("1", arguments=arguments)))
    assert turn["tool_calls"][0]["function"]["arguments"] == arguments


def test_no_arguments_are_an_empty_object() -> None:
    assert plain(calling(call("1", arguments="")))[0]["tool_calls"][0]["function"]["arguments"] == {}


def test_empty_list_of_calls_is_none() -> None:
    assert "tool_calls" not in plain({"role": "assistant", "content": "x", "tool_calls": []})[0]


def test_custom_call_has_its_input_as_argument() -> None:
    [turn] = plain(calling({"id": "1", "type": "custom", "custom": {"name": "g", "input": "abc"}}))
    assert turn["tool_calls"][0]["function"] == {"name": "g", "arguments": {"input": "abc"}}


def test_call_without_a_function_is_refused_by_its_place() -> None:
    assert "messages[0].tool_calls[0]" in str(refused(calling({"id": "1", "type": "function"})))


def test_older_function_call_is_paired_with_its_result() -> None:
    made = {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}}
    turns = plain(made, {"role": "function", "name": "f", "content": "42"})
    assert turns[1]["role"] == "tool"
    assert turns[1]["tool_call_id"] == turns[0]["tool_calls"][0]["id"] != ""


def test_results_get_the_names_of_their_calls() -> None:
    results = [{"role": "tool", "tool_call_id": call_id, "content": "x"} for call_id in ("b", "a")]
    turns = plain(calling(call("a", "one"), call("b", "two")), *results)
    assert [turn["name"] for turn in turns[1:]] == ["two", "one"]


def test_results_without_ids_belong_to_the_calls_in_order() -> None:
    results: list[dict[str, Any]] = [{"role": "tool", "content": "x"}] * 3
    turns = plain(calling(call("a", "one"), call("b", "two")), *results)
    assert [turn.get("tool_call_id") for turn in turns[1:]] == ["a", "b", None]


def test_same_id_in_two_rounds_is_each_rounds_own_call() -> None:
    result = {"role": "tool", "tool_call_id": "a", "content": "x"}
    turns = plain(calling(call("a", "one")), result, calling(call("a", "two")), result)
    assert [turns[1]["name"], turns[3]["name"]] == ["one", "two"]


@pytest.mark.parametrize("way", ["prefix", "continues"])
def test_last_words_of_the_assistant_can_be_gone_on_behind(way: str) -> None:
    last: dict[str, Any] = {"role": "assistant", "content": "It is"}
    asked: dict[str, Any] = {"role": "user", "content": "?"}
    turns = plain(asked, last | ({"prefix": True} if way == "prefix" else {}), continues=way == "continues")
    assert turns[-1] == {"role": "assistant", "content": "It is", "prefix": True}


def test_assistants_last_words_are_a_finished_turn_unless_said_otherwise() -> None:
    assert "prefix" not in plain({"role": "assistant", "content": "It is"})[0]


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "user", "content": "?"}],
        [{"role": "assistant", "content": "x", "tool_calls": [call("1")]}],
    ],
)
def test_nothing_goes_on_behind_what_is_no_answer(messages: list[dict[str, Any]]) -> None:
    assert refused(*messages, continues=True).param == "messages"


def test_prefix_in_the_middle_is_refused() -> None:
    refused({"role": "assistant", "content": "x", "prefix": True}, {"role": "user", "content": "?"})


def test_text_of_a_turn_has_its_calls() -> None:
    assert '"name":"f"' in text_of(plain(calling(call("1")))[0])
