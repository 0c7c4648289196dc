"""The plays of every behaviour: a table, and the few lines that each fault needs.

A fault that breaks an answer in the middle takes the correct answer and stops it early, so that what came before is
exactly what a healthy upstream would have sent.
"""

import itertools
from collections.abc import Callable

from tests.fakes import answers
from tests.fakes.answers import Completion
from tests.fakes.behaviour import Behaviour
from tests.fakes.serving import (
    EVENT_STREAM,
    JSON,
    Document,
    begin,
    chunked_head,
    completion_of,
    document_head,
    document_of,
    is_streamed,
    send,
    serve,
    stream,
)
from tests.fakes.steps import Body, Call, Ending, Head, Pause, Play, Raw, Step

COMMENT_GAP_SECONDS = 0.05
BIG_HEADER_BYTES = 128 * 1024
MISSING_BYTES = 64
"""How much is announced and never comes."""

_PAGE = b"<!DOCTYPE html><html><head><title>%b</title></head><body><h1>%b</h1><hr>cloudflare</body></html>"
_HTML = "text/html; charset=UTF-8"
_SERVER_ERROR = answers.encode(answers.error("The server had an error processing your request.", "server_error"))
_TWO_BYTE_WORD = " café"
_TWO_BYTES = "é".encode()


def play(behaviour: Behaviour, call: Call) -> Play:
    """What the upstream does with this request when it behaves so."""
    return _PLAYS[behaviour](call)


# Whole answers that are not the right one.


def _refuse(status: int, body: bytes, content_type: str = JSON) -> Callable[[Call], Play]:
    return lambda call: send(call, Document(content_type, body), status)


def _refuse_openai(status: int, message: str, kind: str, code: str | int | None = None) -> Callable[[Call], Play]:
    return _refuse(status, answers.encode(answers.error(message, kind, code)))


def _page(title: str) -> bytes:
    return _PAGE % (title.encode(), title.encode())


def _rate_limited(call: Call) -> Play:
    body = answers.encode(answers.error("Rate limit reached for requests", "requests", "rate_limit_exceeded"))
    return send(call, Document(JSON, body, [("retry-after", call.settings.retry_after)]), 429)


def _empty(call: Call) -> Play:
    if is_streamed(call):
        yield chunked_head(call, EVENT_STREAM)
    else:
        yield from send(call, Document(JSON, b""))


def _broken_json(call: Call) -> Play:
    broken = b'{"id":"chatcmpl-fake","choices":[{"ind'
    if is_streamed(call):
        yield chunked_head(call, EVENT_STREAM)
        yield Body(b"data: %b\n\n" % broken)
        yield Body(answers.DONE)
    else:
        yield from send(call, Document(JSON, broken))


def _error_body(call: Call) -> Play:
    if is_streamed(call):
        yield chunked_head(call, EVENT_STREAM)
        yield Body(b"data: %b\n\n" % _SERVER_ERROR)
    else:
        yield from send(call, Document(JSON, _SERVER_ERROR))


def _truncated(call: Call) -> Play:
    completion = completion_of(call)
    if completion and is_streamed(call):
        yield from _part(call)
        yield Body(_half_event(completion))
    else:
        document = document_of(call)
        yield from send(call, Document(document.content_type, _half(document.body)))


def _misframed(call: Call, length: Callable[[int], int]) -> Play:
    """A correct answer under a Content-Length that is not its own."""
    steps = list(serve(call))
    body = b"".join(step.data for step in steps if isinstance(step, Body))
    head = next(step for step in steps if isinstance(step, Head))
    framing = ("content-length", "transfer-encoding")
    fields = [field for field in head.headers if field[0] not in framing]
    yield Head(head.status, [*fields, ("content-length", str(length(len(body))))])
    yield Body(body)


def _length_too_long(call: Call) -> Play:
    yield from _misframed(call, lambda length: length + MISSING_BYTES)
    yield Ending.CLOSE


def _length_too_short(call: Call) -> Play:
    return _misframed(call, lambda length: length // 2)


def _big_headers(call: Call) -> Play:
    for step in serve(call):
        if isinstance(step, Head):
            yield Head(step.status, [*step.headers, ("x-big", "a" * BIG_HEADER_BYTES)])
        else:
            yield step


# No answer, or none in time.


def _reset(_call: Call) -> Play:
    yield Ending.RESET


def _close(_call: Call) -> Play:
    yield Ending.CLOSE


def _garbage(_call: Call) -> Play:
    yield Raw(b"\x00\x16\x03\xff\xfe not HTTP\r\n\r\n\x00")
    yield Ending.CLOSE


def _hang(_call: Call) -> Play:
    yield Ending.HANG


def _headers_then_hang(call: Call) -> Play:
    yield chunked_head(call, EVENT_STREAM) if is_streamed(call) else document_head(call, document_of(call))
    yield Ending.HANG


def _role_then_hang(call: Call) -> Play:
    completion = completion_of(call)
    if completion and is_streamed(call):
        yield from begin(call, completion, 0)
    else:
        yield document_head(call, document_of(call))
    yield Ending.HANG


def _comments_only(call: Call) -> Play:
    comment = Body(b": keep-alive\n\n" if is_streamed(call) else b"\n")
    yield chunked_head(call, EVENT_STREAM if is_streamed(call) else JSON)
    forever: tuple[Step, ...] = (comment, Pause(COMMENT_GAP_SECONDS))
    yield from itertools.cycle(forever)


def _slow_first(call: Call) -> Play:
    yield Pause(call.settings.delay_seconds)
    yield from serve(call)


def _slow_tokens(call: Call) -> Play:
    completion = completion_of(call)
    gap_seconds = call.settings.token_gap_seconds
    if completion and is_streamed(call):
        yield from stream(call, completion, gap_seconds)
    else:
        yield Pause(gap_seconds * len(completion.pieces) if completion else 0)
        yield from serve(call)


# Answers that break in the middle.


def _part(call: Call) -> Play:
    completion = completion_of(call)
    if completion and is_streamed(call):
        yield from begin(call, completion, call.settings.pieces_before_fault)
    else:
        document = document_of(call)
        yield document_head(call, document)
        yield Body(_half(document.body))


def _half(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _half_event(completion: Completion) -> bytes:
    event = completion.piece(" cut")[0]
    return event[: event.index(b" cut")]


def _break_with(ending: Ending) -> Callable[[Call], Play]:
    def broken(call: Call) -> Play:
        yield from _part(call)
        yield ending

    return broken


def _cut_mid_event(call: Call) -> Play:
    yield from _part(call)
    completion = completion_of(call)
    if completion and is_streamed(call):
        yield Body(_half_event(completion))
    yield Ending.CLOSE


def _cut_mid_utf8(call: Call) -> Play:
    completion = completion_of(call)
    if completion and is_streamed(call):
        yield from _part(call)
        yield Body(_until_half_character(completion.piece(_TWO_BYTE_WORD)[0]))
    elif completion:
        whole = completion.whole(completion.finish_reason, [*completion.words, _TWO_BYTE_WORD])
        document = Document(JSON, answers.encode(whole))
        yield document_head(call, document)
        yield Body(_until_half_character(document.body))
    else:
        yield from _part(call)
    yield Ending.CLOSE


def _until_half_character(data: bytes) -> bytes:
    return data[: data.rindex(_TWO_BYTES) + 1]


def _no_finish(call: Call) -> Play:
    completion = completion_of(call)
    if completion and not is_streamed(call):
        words = completion.pieces[: call.settings.pieces_before_fault]
        yield from send(call, Document(JSON, answers.encode(completion.whole(None, words))))
    elif completion:
        yield from _part(call)
    else:
        yield from serve(call)


def _no_done(call: Call) -> Play:
    return (step for step in serve(call) if step != Body(answers.DONE))


def _bad_event(call: Call) -> Play:
    if not is_streamed(call):
        yield from _broken_json(call)
        return
    yield from _part(call)
    yield Body(b'data: {"choices":[{"index":0,"delta":{"con\n\n')
    completion = completion_of(call)
    assert completion is not None
    for event in completion.closing():
        yield Body(event)
    yield Body(answers.DONE)


def _error_midstream(call: Call) -> Play:
    if is_streamed(call):
        yield from _part(call)
        yield Body(b"data: %b\n\n" % _SERVER_ERROR)
    else:
        yield from _error_body(call)


_PLAYS: dict[Behaviour, Callable[[Call], Play]] = {
    Behaviour.OK: serve,
    Behaviour.RESET: _reset,
    Behaviour.CLOSE: _close,
    Behaviour.GARBAGE: _garbage,
    Behaviour.BIG_HEADERS: _big_headers,
    Behaviour.HANG: _hang,
    Behaviour.HEADERS_THEN_HANG: _headers_then_hang,
    Behaviour.ROLE_THEN_HANG: _role_then_hang,
    Behaviour.COMMENTS_ONLY: _comments_only,
    Behaviour.SLOW_FIRST: _slow_first,
    Behaviour.SLOW_TOKENS: _slow_tokens,
    Behaviour.ERROR_500: _refuse(500, _SERVER_ERROR),
    Behaviour.ERROR_500_HTML: _refuse(500, _page("500 Internal Server Error"), _HTML),
    Behaviour.ERROR_502: _refuse_openai(502, "Bad gateway.", "cf_bad_gateway", 502),
    Behaviour.ERROR_502_HTML: _refuse(502, _page("502 Bad Gateway"), _HTML),
    Behaviour.ERROR_503: _refuse_openai(503, "The engine is currently overloaded.", "server_error"),
    Behaviour.ERROR_504: _refuse(504, _page("504 Gateway Time-out"), _HTML),
    Behaviour.ERROR_529: _refuse(
        529, b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"req_fake"}'
    ),
    Behaviour.ERROR_530: _refuse(530, b"error code: 1016", "text/plain; charset=UTF-8"),
    Behaviour.RATE_LIMITED_429: _rate_limited,
    Behaviour.RATE_LIMITED_PLAIN_429: _refuse(429, b"Too Many Requests\n", "text/plain"),
    Behaviour.QUOTA_429: _refuse_openai(
        429, "You exceeded your current quota.", "insufficient_quota", "insufficient_quota"
    ),
    Behaviour.UNAUTHORIZED_401: _refuse_openai(
        401, "Incorrect API key provided.", "invalid_request_error", "invalid_api_key"
    ),
    Behaviour.PAYMENT_402: _refuse_openai(402, "Insufficient balance.", "billing_error", "insufficient_balance"),
    Behaviour.FORBIDDEN_403: _refuse_openai(
        403, "Country, region, or territory not supported.", "request_forbidden", "unsupported_country_region_territory"
    ),
    Behaviour.BAD_REQUEST_400: _refuse_openai(
        400, "Unsupported value: 'temperature'.", "invalid_request_error", "unsupported_value"
    ),
    Behaviour.CONTEXT_LENGTH_400: _refuse_openai(
        400,
        "This model's maximum context length is 8192 tokens. Please reduce the length of the messages.",
        "invalid_request_error",
        "context_length_exceeded",
    ),
    Behaviour.NOT_FOUND_404: _refuse_openai(
        404, "The model does not exist.", "invalid_request_error", "model_not_found"
    ),
    Behaviour.UNPROCESSABLE_422: _refuse_openai(422, "messages: field required", "invalid_request_error"),
    Behaviour.HTML_200: _refuse(200, _page("Just a moment..."), _HTML),
    Behaviour.EMPTY_200: _empty,
    Behaviour.BROKEN_JSON_200: _broken_json,
    Behaviour.TRUNCATED_200: _truncated,
    Behaviour.ERROR_BODY_200: _error_body,
    Behaviour.LENGTH_TOO_LONG: _length_too_long,
    Behaviour.LENGTH_TOO_SHORT: _length_too_short,
    Behaviour.STALL: _break_with(Ending.HANG),
    Behaviour.CUT: _break_with(Ending.CLOSE),
    Behaviour.CUT_RESET: _break_with(Ending.RESET),
    Behaviour.CUT_MID_EVENT: _cut_mid_event,
    Behaviour.CUT_MID_UTF8: _cut_mid_utf8,
    Behaviour.NO_FINISH: _no_finish,
    Behaviour.NO_DONE: _no_done,
    Behaviour.BAD_EVENT: _bad_event,
    Behaviour.ERROR_MIDSTREAM: _error_midstream,
}
