"""What one event amounts to, how a stream had ended, and whether an answer is whole."""

import pytest

from proxy.wire import completion, sse
from proxy.wire.completion import Glance

NOTHING = Glance()
CONTENT = Glance(has_content=True)
FINISHED = Glance(is_finished=True)
ERROR = Glance(is_error=True)


def chunk(delta: str, finish: str = "null", rest: str = "") -> bytes:
    """A chat completion chunk as OpenAI words it; arguments are JSON."""
    choice = f'{{"index":0,"delta":{delta},"logprobs":null,"finish_reason":{finish}}}'
    return (
        '{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"gpt-4o-2024-08-06",'
        f'"service_tier":"default","choices":[{choice}]{rest}}}'
    ).encode()


ROLE = chunk('{"role":"assistant","content":"","refusal":null}')
TEXT = chunk('{"content":"Hel"}')
STOP = chunk("{}", '"stop"')
OTHER_TEXT = TEXT.replace(b'"index":0', b'"index":1')
OTHER_STOP = STOP.replace(b'"index":0', b'"index":1')
USAGE = b'{"id":"chatcmpl-1","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}'
ERROR_EVENT = b'{"error":{"message":"The server had an error","type":"server_error","param":null,"code":null}}'


@pytest.mark.parametrize(
    ("data", "glance"),
    [
        pytest.param(ROLE, NOTHING, id="role alone"),
        pytest.param(chunk('{"role":"assistant","content":null}'), NOTHING, id="role and null"),
        pytest.param(chunk("{}"), NOTHING, id="empty delta"),
        pytest.param(chunk('{"content":""}'), NOTHING, id="empty text"),
        pytest.param(chunk('{"tool_calls":[]}'), NOTHING, id="no tool calls"),
        pytest.param(TEXT, CONTENT, id="text"),
        pytest.param(chunk('{"content":" "}'), CONTENT, id="a space"),
        pytest.param(chunk('{"role":"assistant","content":"Hi"}'), CONTENT, id="role and text"),
        pytest.param(
            chunk('{"tool_calls":[{"index":0,"id":"c","type":"function","function":{"name":"f","arguments":""}}]}'),
            CONTENT,
            id="tool call",
        ),
        pytest.param(chunk('{"function_call":{"name":"f","arguments":""}}'), CONTENT, id="function call"),
        pytest.param(chunk('{"content":null,"reasoning_content":"Hmm"}'), CONTENT, id="reasoning"),
        pytest.param(chunk('{"content":"","reasoning_content":""}'), NOTHING, id="empty reasoning"),
        pytest.param(chunk('{"refusal":"I cannot"}'), CONTENT, id="refusal"),
        pytest.param(STOP, FINISHED, id="finish"),
        pytest.param(chunk('{"content":"!"}', '"length"'), Glance(True, True), id="finish with content"),
        pytest.param(USAGE, NOTHING, id="usage"),
        pytest.param(b'{"choices":null}', NOTHING, id="no choices"),
        pytest.param(b'{"id":"","choices":[],"prompt_filter_results":[]}', NOTHING, id="Azure's filter results"),
        pytest.param(chunk('{"content":"x"}', rest=',"error":null'), CONTENT, id="null error"),
        pytest.param(
            b'{"object":"text_completion","choices":[{"index":0,"text":"Hel","finish_reason":null}]}', CONTENT
        ),
        pytest.param(
            b'{"object":"text_completion","choices":[{"index":0,"text":"","finish_reason":"stop"}]}', FINISHED
        ),
        pytest.param(b"[DONE]", FINISHED, id="[DONE]"),
        pytest.param(ERROR_EVENT, ERROR, id="error object"),
        pytest.param(b'{"error":"overloaded"}', ERROR, id="error string"),
        pytest.param(b"", ERROR, id="empty data"),
        pytest.param(b"<html>502 Bad Gateway</html>", ERROR, id="HTML"),
        pytest.param(b"[1, 2]", ERROR, id="a list"),
        pytest.param(b'{"choices":["x"]}', ERROR, id="choice that is none"),
        pytest.param(TEXT[:-3], ERROR, id="cut"),
        pytest.param(b'{"choices":[{"text":"\xff"}]}', ERROR, id="no UTF-8"),
        pytest.param(b'{"choices":' + b"[" * 100_000, ERROR, id="nested without end"),
    ],
)
def test_glance(data: bytes, glance: Glance) -> None:
    assert completion.glance(data) == glance


def test_content_of_any_choice_is_content() -> None:
    empty, full = b'{"index":0,"delta":{}}', b'{"index":1,"delta":{"content":"x"}}'
    assert completion.glance(b'{"choices":[' + empty + b"," + full + b"]}").has_content


@pytest.mark.parametrize(
    ("events", "is_finished"),
    [
        pytest.param([TEXT, STOP, USAGE, b"[DONE]"], True, id="all that OpenAI sends"),
        pytest.param([TEXT, STOP], True, id="no [DONE]"),
        pytest.param([TEXT, b"[DONE]"], True, id="no finish_reason"),
        pytest.param([ROLE, TEXT, TEXT], False, id="cut"),
        pytest.param([TEXT, USAGE], False, id="usage is no end"),
        pytest.param([], False, id="nothing"),
    ],
)
def test_end_of_a_closed_stream(events: list[bytes], is_finished: bool) -> None:
    assert completion.is_finished([sse.event(data) for data in events]) is is_finished


@pytest.mark.parametrize(
    ("events", "is_open"),
    [
        pytest.param([TEXT], True, id="begun"),
        pytest.param([TEXT, STOP], False, id="ended"),
        pytest.param([TEXT, OTHER_TEXT, STOP], True, id="one of two ended"),
        pytest.param([TEXT, OTHER_TEXT, STOP, USAGE], True, id="one of two ended, then usage"),
        pytest.param([TEXT, OTHER_TEXT, OTHER_STOP, STOP], False, id="both ended"),
        pytest.param([STOP, b"[DONE]", b"{", b'{"choices":7}', b'{"choices":null}'], False, id="no chunks at all"),
        pytest.param([b'{"choices":[{"text":"a"}]}', b'{"choices":[{"index":0,"finish_reason":"stop"}]}'], False),
    ],
)
def test_whether_an_answer_is_open(events: list[bytes], is_open: bool) -> None:
    assert completion.is_open(b"".join(map(sse.event, events))) is is_open


def test_several_events_in_one_block_are_all_judged() -> None:
    block = b"".join(map(sse.event, [TEXT, STOP]))
    assert completion.is_finished([block, b": ping\n\n"])


@pytest.mark.parametrize(
    ("body", "is_whole"),
    [
        (b'{"id":"chatcmpl-1","choices":[{"message":{"role":"assistant","content":"Hi"}}]}', True),
        (b'{"object":"list","data":[{"embedding":[0.1]}],"error":null}', True),
        (b' {"choices":[]}\n', True),
        (ERROR_EVENT, False),
        (b'{"choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}]}', True),
        (b'{"choices":[{"message":{"content":"Hi"},"finish_reason": null}]}', False),
        (b'{"choices":[{"finish_reason":"stop"},{"finish_reason":null}]}', True),
        (b'{"choices":[{"message":{"content":"\\"finish_reason\\": null"},"finish_reason":"stop"}]}', True),
        (b'{"id":"chatcmpl-1","choices":[{"message":{"rol', False),
        (b"<!DOCTYPE html><title>502</title>", False),
        (b"", False),
        (b"null", False),
        (b"[]", False),
        (b'"ok"', False),
        (b'{"a":1}{"b":2}', False),
        (b"[" * 100_000, False),
        (b'{"error":null,"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", False),
    ],
)
def test_whole_answer_is_a_json_object_without_an_error(body: bytes, is_whole: bool) -> None:
    assert completion.is_whole(body) is is_whole
