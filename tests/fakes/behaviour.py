"""The ways in which an upstream can answer, or fail to.

Faults of a connection that nobody takes are not here: `FaultUpstream.stop` refuses connections, and doors.py has the
other places where a client gets no further.
"""

from enum import Enum, auto


class Behaviour(Enum):
    """What the upstream does with one request. Those that break a stream have a like counterpart for JSON."""

    OK = auto()
    """A whole, correct answer."""

    RESET = auto()
    """The request is read, then the connection is reset."""
    CLOSE = auto()
    """The request is read, then the connection is closed without an answer."""
    GARBAGE = auto()
    """Bytes that are not HTTP, then a close."""
    BIG_HEADERS = auto()
    """A correct answer with one header line of 128 KiB."""

    HANG = auto()
    """The request is read and never answered."""
    HEADERS_THEN_HANG = auto()
    """Status 200 and headers, then silence."""
    ROLE_THEN_HANG = auto()
    """The role chunk, which is no content yet, then silence. JSON: as HEADERS_THEN_HANG."""
    COMMENTS_ONLY = auto()
    """Keep-alive comments for ever, one every 50 ms. JSON: blank lines."""
    SLOW_FIRST = auto()
    """A correct answer that starts after `delay_seconds`."""
    SLOW_TOKENS = auto()
    """A correct answer with `token_gap_seconds` before each piece of content. JSON: after as long as all of them."""

    ERROR_500 = auto()
    """An OpenAI error body."""
    ERROR_500_HTML = auto()
    """The page of an edge server, as on 2025-11-18."""
    ERROR_502 = auto()
    """An OpenAI error body whose `code` is an integer, as on 2023-11-08."""
    ERROR_502_HTML = auto()
    """The page of an edge server."""
    ERROR_503 = auto()
    """An OpenAI error body: overloaded."""
    ERROR_504 = auto()
    """The page of an edge server whose origin did not answer in time."""
    ERROR_529 = auto()
    """An Anthropic error body: overloaded."""
    ERROR_530 = auto()
    """A CDN that cannot resolve its origin; plain text, as on 2024-12-04."""

    RATE_LIMITED_429 = auto()
    """An OpenAI error body with `Retry-After` from `retry_after`."""
    RATE_LIMITED_PLAIN_429 = auto()
    """A body that is not OpenAI's, without `Retry-After`."""
    QUOTA_429 = auto()
    """An OpenAI error body with the code `insufficient_quota`: waiting does not help."""

    UNAUTHORIZED_401 = auto()
    """The key is refused."""
    PAYMENT_402 = auto()
    """The account has no money."""
    FORBIDDEN_403 = auto()
    """The key may not do this."""

    BAD_REQUEST_400 = auto()
    """The caller's fault."""
    CONTEXT_LENGTH_400 = auto()
    """The caller's fault: the prompt is too long for this model."""
    NOT_FOUND_404 = auto()
    """No such model."""
    UNPROCESSABLE_422 = auto()
    """The caller's fault."""

    HTML_200 = auto()
    """A web page under status 200."""
    EMPTY_200 = auto()
    """Status 200 and no body; for a stream no event."""
    BROKEN_JSON_200 = auto()
    """A complete body that is not JSON; for a stream one such event, then `[DONE]`."""
    TRUNCATED_200 = auto()
    """A correct answer that stops half way, in the middle of its JSON, where HTTP says that it is complete."""
    ERROR_BODY_200 = auto()
    """An error object under status 200; for a stream as the first event."""
    LENGTH_TOO_LONG = auto()
    """A correct answer under a Content-Length of a few bytes more, then the connection is closed."""
    LENGTH_TOO_SHORT = auto()
    """A correct answer under half of its Content-Length, on a connection that is kept."""

    STALL = auto()
    """Some content, then silence."""
    CUT = auto()
    """Some content, then the connection is closed."""
    CUT_RESET = auto()
    """Some content, then the connection is reset."""
    CUT_MID_EVENT = auto()
    """Some content and half an event, then the connection is closed. JSON: as CUT."""
    CUT_MID_UTF8 = auto()
    """Some content and half a character, then the connection is closed."""
    NO_FINISH = auto()
    """Some content, then a clean end without finish_reason and `[DONE]`. JSON: finish_reason is null."""
    NO_DONE = auto()
    """All content and the finish_reason, then a clean end without `[DONE]`. JSON: as OK."""
    BAD_EVENT = auto()
    """A few pieces, an event that is cut inside its JSON, then a good end. JSON: as BROKEN_JSON_200."""
    ERROR_MIDSTREAM = auto()
    """Some content, then an error event and a clean end. JSON: as ERROR_BODY_200."""
