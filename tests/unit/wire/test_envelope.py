"""Errors in OpenAI's shape."""

import json

from proxy.wire import completion, envelope, sse


def test_error_has_the_four_fields_that_the_sdks_read() -> None:
    body = envelope.error('Not "a" model', kind=envelope.INVALID_REQUEST, param="model", code="invalid_type")
    assert json.loads(body) == {
        "error": {
            "message": 'Not "a" model',
            "type": "invalid_request_error",
            "param": "model",
            "code": "invalid_type",
        }
    }


def test_fields_that_say_nothing_are_null() -> None:
    error = json.loads(envelope.error("x", kind=envelope.SERVER_ERROR))["error"]
    assert (error["param"], error["code"]) == (None, None)


def test_error_event_is_one_event_that_reads_as_an_error() -> None:
    block = envelope.error_event("broke\noff\r\n\r\nhere", code="upstream_stream_broken")
    (data,) = sse.payloads(block)
    assert completion.glance(data).is_error
    assert sse.end_of_last_event(block) == len(block)
