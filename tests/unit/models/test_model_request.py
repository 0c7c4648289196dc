import json
from typing import Any

import pytest

from models.engine.healing import NO_SEAM, Seam
from models.engine.params import SamplingParams
from models.errors import RequestError
from models.server.messages import plain_messages
from models.server.request import decode_chat, decode_completion, prompts
from models.server.sampling import SamplingDefaults, sampling_params

DEFAULTS = SamplingDefaults(temperature=0.2, top_p=0.9)
TOOL = {"type": "function", "function": {"name": "f"}}
CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a'}}


def chat(**fields: Any) -> bytes:
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}]} | fields
    return json.dumps(body).encode()


def text(**fields: Any) -> bytes:
    return json.dumps({"model": "m"} | fields).encode()


def params(body: bytes, room: int = 100, seam: Seam = NO_SEAM, grammar: str = "") -> SamplingParams:
    return sampling_params(
        decode_chat(body), DEFAULTS, room_tokens=room, seed=1, vocabulary_size=50, grammar=grammar, seam=seam
    )


def refused(body: bytes) -> RequestError:
    with pytest.raises(RequestError) as caught:
        plain_messages(decode_chat(body).messages)
    return caught.value


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": [{"role": "user", "content": 3}]}, "messages[0].content"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0]"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[0].content[0]"),
        ({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "messages[0].content[0]"),
        ({"model": None}, "model"),
        ({"temperature": 2.1}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"top_p": -0.1}, "top_p"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_completion_tokens": 0}, "max_completion_tokens"),
        ({"n": 9}, "n"),
        ({"n": 0}, "n"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
        ({"frequency_penalty": 3}, "frequency_penalty"),
        ({"stream_options": {"include_usage": 1}}, "stream_options.include_usage"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"response_format": {"type": "json_object"}, "grammar": "root ::= [a-z]"}, "grammar"),
        ({"tools": [TOOL], "grammar": "root ::= [a-z]"}, "grammar"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tool_choice": {"type": "function", "function": {"name": "f"}}}, "tool_choice"),
        ({"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "g"}}}, "tool_choice"),
        ({"tools": [TOOL], "tool_choice": {"type": "function"}}, "tool_choice"),
        ({"tools": [{"type": "web"}]}, "tools[0].type"),
        ({"tools": [{"type": "custom"}], "tool_choice": "required"}, "tool_choice"),
        ({"tools": [TOOL], "tool_choice": {"type": "custom", "custom": {"name": "f"}}}, "tool_choice"),
        ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "tools[0].function.name"),
        ({"tools": [TOOL] * 129}, "tools"),
        ({"functions": [{"name": "f"}], "function_call": {"name": "g"}}, "function_call"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"top_logprobs": 21, "logprobs": True}, "top_logprobs"),
        ({"delivered_text": [None]}, "delivered_text"),
        ({"delivered_text": ["a"], "n": 2}, "delivered_text"),
        ({"delivered_text": [None, None], "n": 2}, "delivered_text"),
        ({"delivered_tool_calls": [CALL]}, "delivered_tool_calls"),
        ({"delivered_tool_calls": [CALL], "tools": [TOOL], "n": 2}, "delivered_tool_calls"),
        ({"delivered_tool_calls": [CALL, [CALL]], "tools": [TOOL]}, "delivered_tool_calls"),
        ({"delivered_tool_calls": [None, [CALL], None], "tools": [TOOL], "n": 2}, "delivered_tool_calls"),
    ],
)
def test_bad_field_is_named(fields: dict[str, Any], param: str) -> None:
    error = refused(chat(**fields))
    assert (error.status, error.param) == (400, param)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b'"x"', b'{"a":' + b"[" * 100_000])
def test_what_is_no_json_object_is_refused(body: bytes) -> None:
    assert refused(body).status == 400


def test_lone_surrogate_is_refused() -> None:
    assert refused(b'{"model":"m","messages":[{"role":"user","content":"\\ud800"}]}').status == 400


def test_missing_field_is_named() -> None:
    assert refused(b'{"model":"m"}').param == "messages"


def test_unknown_fields_are_ignored() -> None:
    assert decode_chat(chat(tool_choice="auto", parallel_tool_calls=False, user="x", store=True)).model == "m"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, [("", [])]),
        ({"n": 2}, [("", []), ("", [])]),
        ({"delivered_text": "a"}, [("a", [])]),
        ({"delivered_text": ["a", None], "n": 2}, [("a", []), None]),
        ({"delivered_text": "", "delivered_tool_calls": [CALL]}, [("", ["f"])]),
        ({"delivered_tool_calls": [CALL, CALL]}, [("", ["f", "f"])]),
        ({"delivered_tool_calls": [None, [CALL]], "n": 2}, [None, ("", ["f"])]),
        ({"delivered_text": ["a", None], "delivered_tool_calls": [[], [CALL]], "n": 2}, [("a", []), ("", ["f"])]),
    ],
)
def test_what_is_delivered_of_each_answer_is_its_text_and_its_calls(fields: dict[str, Any], expected: Any) -> None:
    answers = decode_chat(chat(tools=[TOOL], **fields)).answers
    assert [answer and (answer.words, [call.name for call in answer.calls]) for answer in answers] == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [({}, None), ({"logprobs": False}, None), ({"logprobs": True}, 0), ({"logprobs": True, "top_logprobs": 3}, 3)],
)
def test_alternatives_are_told_where_likelihoods_are(fields: dict[str, Any], expected: int | None) -> None:
    assert params(chat(**fields)).logprobs == expected


def test_completions_name_their_alternatives_directly() -> None:
    assert decode_completion(text(prompt="x", logprobs=2)).alternatives == 2


def test_parts_are_joined_and_roles_translated() -> None:
    messages = [
        {"role": "developer", "content": "be brief"},
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {"role": "assistant", "content": None, "tool_calls": []},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
        {"role": "tool", "tool_call_id": "1", "content": "42"},
    ]
    plain = plain_messages(decode_chat(chat(messages=messages)).messages)
    assert [(turn["role"], turn["content"]) for turn in plain] == [
        ("system", "be brief"),
        ("user", "ab"),
        ("assistant", ""),
        ("assistant", "no"),
        ("tool", "42"),
    ]


def test_model_makers_defaults_fill_what_is_not_said() -> None:
    made = params(chat())
    assert (made.temperature, made.top_p, made.max_tokens) == (0.2, 0.9, 100)


def test_zero_temperature_is_not_taken_for_unset() -> None:
    assert params(chat(temperature=0)).temperature == 0.0


def test_max_tokens_is_clamped_to_the_room() -> None:
    assert params(chat(max_tokens=10**30), room=7).max_tokens == 7


def test_max_completion_tokens_wins_over_the_old_name() -> None:
    assert params(chat(max_tokens=5, max_completion_tokens=3)).max_tokens == 3


@pytest.mark.parametrize(("stop", "expected"), [("x", ("x",)), (["x", ""], ("x",)), (None, ()), ("", ())])
def test_stop_takes_one_or_several_and_drops_empty_ones(stop: Any, expected: tuple[str, ...]) -> None:
    assert params(chat(stop=stop)).stop == expected


@pytest.mark.parametrize(("choice", "expected"), [("required", ()), ("auto", ("x",)), ("none", ("x",))])
def test_stop_string_does_not_cut_a_call_that_is_demanded(choice: str, expected: tuple[str, ...]) -> None:
    tools = [{"type": "function", "function": {"name": "f"}}]
    assert params(chat(stop="x", tools=tools, tool_choice=choice)).stop == expected


@pytest.mark.parametrize("key", ["50", "-1", "x", "9" * 5000, "0" * 10 + "50", ""])
def test_logit_bias_for_a_foreign_token_is_refused(key: str) -> None:
    with pytest.raises(RequestError) as caught:
        params(chat(logit_bias={key: 1}))
    assert caught.value.param == "logit_bias"


def test_logit_bias_keys_become_token_ids() -> None:
    assert params(chat(logit_bias={"49": -100})).logit_bias == {49: -100.0}


def test_grammar_begins_behind_what_is_kept_of_the_answer() -> None:
    made = params(chat(), grammar="root ::= [a-z ]*", seam=Seam(b"hello wor", b" wor"))
    assert (made.kept, made.healing) == (b"hello", b" wor")


def test_stop_string_may_begin_in_what_is_there_of_the_answer() -> None:
    seam = Seam(b"go on S", b" S")
    assert [params(chat(stop=stop), seam=seam).sent for stop in (None, "S", ["STOP", "no"])] == ["", "S", "on S"]


def test_tokenizers_space_is_owed_unless_there_is_a_grammar() -> None:
    seam = Seam(b"wor", b" wor")
    assert [params(chat(), grammar=text, seam=seam).healing for text in ("", "root ::= [a-z]*")] == [b" wor", b"wor"]


def test_completion_defaults_to_sixteen_tokens() -> None:
    assert decode_completion(text(prompt="x")).wanted_tokens == 16


@pytest.mark.parametrize("fields", [{"suffix": "x"}, {"echo": True}])
def test_unsupported_completion_field_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(RequestError) as caught:
        decode_completion(text(prompt="x", **fields))
    assert caught.value.code == "unsupported"


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [("a", ["a"]), (["a", "b"], ["a", "b"]), ([1, 2], [[1, 2]]), ([[1], [2, 3]], [[1], [2, 3]]), (None, [""])],
)
def test_all_forms_of_prompt_are_taken(prompt: Any, expected: list[Any]) -> None:
    assert prompts(decode_completion(text(prompt=prompt))) == expected


@pytest.mark.parametrize("prompt", [[], ["a", 1], [[1], "a"], ["a"] * 129])
def test_mixed_empty_or_too_many_prompts_are_refused(prompt: Any) -> None:
    with pytest.raises(RequestError) as caught:
        prompts(decode_completion(text(prompt=prompt)))
    assert caught.value.param == "prompt"
