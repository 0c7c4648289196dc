import json
from typing import Any

import pytest

from models.engine.event import TokenScore
from models.errors import DecodeFailed, ModelsError, NotReady, Overloaded, RequestError
from models.server.answer import Part, Said
from models.server.wire import Call, ChatForm, Choice, CompletionForm, Head, Usage, error_event, refusal
from models.tools.told import Arguments, CallBegun

USAGE = Usage(3, 2, 1)
HEAD = Head("chatcmpl-1", 7, "m", with_usage=False)


def event(data: bytes) -> Any:
    assert data.startswith(b"data: ")
    assert data.endswith(b"\n\n")
    return json.loads(data[6:])


def chat_form(head: Head = HEAD, *, has_logprobs: bool = False, is_legacy: bool = False) -> ChatForm:
    return ChatForm(head, lambda: "call_1", has_logprobs=has_logprobs, is_legacy=is_legacy)


def test_chat_body_has_openais_shape() -> None:
    assert json.loads(chat_form().body({0: Choice("hi", finish_reason="stop")}, USAGE)) == {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 7,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "hi", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            },
        ],
        "usage": {
            "prompt_tokens": 3,
            "completion_tokens": 2,
            "total_tokens": 5,
            "prompt_tokens_details": {"cached_tokens": 1, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": 0,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        },
    }


def test_chat_stream_opens_with_the_role() -> None:
    choice = event(chat_form().opening(1))["choices"][0]
    assert (choice["index"], choice["delta"]) == (1, {"role": "assistant", "content": ""})


def test_chat_stream_ends_with_an_empty_delta() -> None:
    choice = event(chat_form().finish(0, "length"))["choices"][0]
    assert (choice["delta"], choice["finish_reason"]) == ({}, "length")


def test_usage_chunk_has_no_choices() -> None:
    chunk = event(chat_form().usage(USAGE))
    assert (chunk["choices"], chunk["usage"]["total_tokens"]) == ([], 5)


@pytest.mark.parametrize("with_usage", [True, False])
def test_other_chunks_carry_null_usage_only_when_usage_was_asked_for(with_usage: bool) -> None:
    chunk = event(chat_form(Head("i", 7, "m", with_usage)).part(0, Said("x")))
    assert ("usage" in chunk) == with_usage
    assert chunk.get("usage") is None


def test_text_completion_has_openais_shape() -> None:
    body = json.loads(
        CompletionForm(HEAD).body({0: Choice("a", finish_reason="stop"), 1: Choice("b", finish_reason="length")}, USAGE)
    )
    assert body["object"] == "text_completion"
    assert body["choices"][1] == {"text": "b", "index": 1, "logprobs": None, "finish_reason": "length"}


def test_text_stream_has_no_opening() -> None:
    assert CompletionForm(HEAD).opening(0) == b""
    assert event(CompletionForm(HEAD).part(0, Said("é")))["choices"][0]["text"] == "é"


CALLS: list[Part] = [Said("Wait."), CallBegun(0, "f"), Arguments(0, '{"a"'), Arguments(0, ": 1}"), CallBegun(1, "g")]


def test_calls_are_streamed_by_index_with_their_name_first() -> None:
    deltas = [event(chat_form().part(0, part))["choices"][0]["delta"] for part in CALLS[1:3]]
    function = {"name": "f", "arguments": ""}
    assert deltas[0] == {"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": function}]}
    assert deltas[1] == {"tool_calls": [{"index": 0, "function": {"arguments": '{"a"'}}]}


def test_older_clients_are_told_of_a_function_call() -> None:
    deltas = [event(chat_form(is_legacy=True).part(0, part))["choices"][0]["delta"] for part in CALLS[1:3]]
    assert deltas == [{"function_call": {"name": "f", "arguments": ""}}, {"function_call": {"arguments": '{"a"'}}]


def test_choice_collects_words_and_calls() -> None:
    choice = Choice()
    for part in CALLS:
        choice.add(part)
    assert (choice.text, choice.calls) == ("Wait.", {0: Call("f", '{"a": 1}'), 1: Call("g")})


def test_message_of_calls_alone_has_no_content() -> None:
    choice = Choice(calls={0: Call("f", "{}")}, finish_reason="tool_calls")
    message = json.loads(chat_form().body({0: choice}, USAGE))["choices"][0]["message"]
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    assert message == {"role": "assistant", "content": None, "refusal": None, "tool_calls": [call]}


def test_older_message_has_its_function_call() -> None:
    choice = Choice(calls={0: Call("f", "{}")}, finish_reason="function_call")
    message = json.loads(chat_form(is_legacy=True).body({0: choice}, USAGE))["choices"][0]["message"]
    assert (message["content"], message["function_call"]) == (None, {"name": "f", "arguments": "{}"})


SCORES = (TokenScore(b"h", -0.5, ((b"h", -0.5), (b"H", -1.0))), TokenScore("é".encode()[:1], -2.0))


def test_chat_tells_each_token_with_its_bytes_and_rivals() -> None:
    choice = Choice("h", tokens=[*SCORES], finish_reason="stop")
    told = json.loads(chat_form(has_logprobs=True).body({0: choice}, USAGE))["choices"][0]["logprobs"]
    rivals = [{"token": "h", "logprob": -0.5, "bytes": [104]}, {"token": "H", "logprob": -1.0, "bytes": [72]}]
    assert told == {
        "content": [
            {"token": "h", "logprob": -0.5, "bytes": [104], "top_logprobs": rivals},
            {"token": "\ufffd", "logprob": -2.0, "bytes": [0xC3], "top_logprobs": []},
        ],
        "refusal": None,
    }


def test_completion_tells_tokens_with_their_places_across_chunks() -> None:
    form = CompletionForm(HEAD, has_logprobs=True)
    rows = [event(form.part(0, Said("h", SCORES[:1])))["choices"][0]["logprobs"] for _ in range(2)]
    assert rows[0] == {
        "tokens": ["h"],
        "token_logprobs": [-0.5],
        "top_logprobs": [{"h": -0.5, "H": -1.0}],
        "text_offset": [0],
    }
    assert rows[1]["text_offset"] == [1]


def test_cached_tokens_are_never_more_than_the_prompt() -> None:
    assert Usage(3, 0).and_completed(1, cached_tokens=9) == Usage(3, 1, 3)


@pytest.mark.parametrize(
    ("error", "status", "kind", "code", "retry"),
    [
        (RequestError("m", param="p", code="c"), 400, "invalid_request_error", "c", None),
        (NotReady("loading"), 503, "server_error", "loading", 1),
        (Overloaded("m", 5), 503, "server_error", "overloaded", 5),
        (DecodeFailed(-1), 500, "server_error", "engine_error", None),
    ],
)
def test_error_has_openais_envelope(error: ModelsError, status: int, kind: str, code: str, retry: int | None) -> None:
    sent = refusal(error)
    body = json.loads(sent.body)["error"]
    assert (sent.status, sent.retry_after_seconds) == (status, retry)
    assert (body["type"], body["code"], body["message"]) == (kind, code, str(error))


def test_error_inside_a_stream_is_an_event() -> None:
    assert event(error_event(DecodeFailed(1)))["error"]["code"] == "engine_error"
