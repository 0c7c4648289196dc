import json
from typing import Any

import pytest

from models.errors import DecodeFailed, ModelsError, NotReady, Overloaded, RequestError
from models.server.wire import ChatForm, Choice, CompletionForm, Head, Usage, error_event, refusal

USAGE = Usage(3, 2)
HEAD = Head("chatcmpl-1", 7, "m", with_usage=False)


def event(data: bytes) -> Any:
    assert data.startswith(b"data: ")
    assert data.endswith(b"\n\n")
    return json.loads(data[6:])


def test_chat_body_has_openais_shape() -> None:
    assert json.loads(ChatForm(HEAD).body({0: Choice("hi", "stop")}, USAGE)) == {
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
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
    }


def test_chat_stream_opens_with_the_role() -> None:
    choice = event(ChatForm(HEAD).opening(1))["choices"][0]
    assert (choice["index"], choice["delta"]) == (1, {"role": "assistant", "content": ""})


def test_chat_stream_ends_with_an_empty_delta() -> None:
    choice = event(ChatForm(HEAD).finish(0, "length"))["choices"][0]
    assert (choice["delta"], choice["finish_reason"]) == ({}, "length")


def test_usage_chunk_has_no_choices() -> None:
    chunk = event(ChatForm(HEAD).usage(USAGE))
    assert (chunk["choices"], chunk["usage"]["total_tokens"]) == ([], 5)


@pytest.mark.parametrize("with_usage", [True, False])
def test_other_chunks_carry_null_usage_only_when_usage_was_asked_for(with_usage: bool) -> None:
    chunk = event(ChatForm(Head("i", 7, "m", with_usage)).piece(0, "x"))
    assert ("usage" in chunk) == with_usage
    assert chunk.get("usage") is None


def test_text_completion_has_openais_shape() -> None:
    body = json.loads(CompletionForm(HEAD).body({0: Choice("a", "stop"), 1: Choice("b", "length")}, USAGE))
    assert body["object"] == "text_completion"
    assert body["choices"][1] == {"text": "b", "index": 1, "logprobs": None, "finish_reason": "length"}


def test_text_stream_has_no_opening() -> None:
    assert CompletionForm(HEAD).opening(0) == b""
    assert event(CompletionForm(HEAD).piece(0, "é"))["choices"][0]["text"] == "é"


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
