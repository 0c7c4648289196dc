"""Which header fields pass a proxy (RFC 9110, section 7.6), and what the ones about time say."""

import re
from collections.abc import Iterable, Mapping
from email.utils import parsedate_to_datetime

Fields = list[tuple[str, str]]
"""Header fields in order, repeated ones repeated."""

HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)

VIA = "1.1 hotspare"

STAY_HERE = "|".join(["content-length", "via", "x-hotspare-[a-z-]*", *sorted(HOP_BY_HOP)])
"""A pattern: the fields of an answer that do not pass, because they are one connection's, or ours to say."""

TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
"""A pattern: a method or a field's name (RFC 9110, section 5.6.2)."""


def as_text(raw: bytes) -> str:
    """UTF-8, and other bytes as surrogates, so that `as_bytes` gives the same bytes again. aiohttp does likewise."""
    return raw.decode("utf-8", "surrogateescape")


def as_bytes(text: str) -> bytes:
    """The bytes that `as_text` was given."""
    return text.encode("utf-8", "surrogateescape")


CREDENTIALS = frozenset({"authorization", "api-key", "x-api-key", "openai-organization", "openai-project", "cookie"})
"""What a client sends to say who it is. It goes to the upstream that it was meant for, or nowhere."""

PLACEHOLDER_KEYS = frozenset(
    {"", "none", "null", "no-key", "nokey", "not-needed", "dummy", "empty", "local", "hotspare", "sk-no-key-required"}
)
"""Keys that people write because an SDK insists on one. They are no key: an upstream that refuses them has refused
nobody, and the request goes on to the local model."""


def end_to_end(fields: Iterable[tuple[str, str]]) -> Fields:
    """Drop the fields that concern one connection only, and those that `Connection` names."""
    listed = list(fields)
    nominated = {
        token.strip().lower() for name, value in listed if name.lower() == "connection" for token in value.split(",")
    }
    dropped = HOP_BY_HOP | nominated
    return [(name, value) for name, value in listed if name.lower() not in dropped]


def without(fields: Iterable[tuple[str, str]], names: frozenset[str]) -> Fields:
    """Drop the named fields; `names` are in lower case."""
    return [(name, value) for name, value in fields if name.lower() not in names]


def bearer(authorization: str | None) -> str:
    """The token of an `Authorization: Bearer` field (RFC 6750), or an empty string."""
    scheme, _, token = (authorization or "").strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def is_placeholder(authorization: str | None) -> bool:
    """Whether the client brought no key worth the name."""
    if authorization and not authorization.strip().lower().startswith("bearer"):
        return False
    return bearer(authorization).lower() in PLACEHOLDER_KEYS


_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")


def is_request_id(value: str) -> bool:
    """Whether a client's request id is fit to be logged and sent on."""
    return _REQUEST_ID.fullmatch(value) is not None


def retry_after_seconds(headers: Mapping[str, str], wall: float, *, is_rate_limited: bool = False) -> float | None:
    """When an upstream wants to be asked again: `retry-after-ms` (OpenAI), else `Retry-After` (RFC 9110, 10.2.3) in
    seconds or as a date, measured from `wall` (Unix seconds). None if it does not say, or says nonsense.

    `is_rate_limited`: the answer is a 429. Then its `x-ratelimit-reset-*` say it too; others have them all the time.
    """
    milliseconds = _seconds(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    text = headers.get("Retry-After")
    seconds = _seconds(text)
    if seconds is None:
        seconds = _seconds_until(text, wall)
    return _reset_seconds(headers, wall) if seconds is None and is_rate_limited else seconds


_LIMITED = ("requests", "tokens")


def _reset_seconds(headers: Mapping[str, str], wall: float) -> float | None:
    """Of the limit that is used up; of the one that takes longer, where it is not said which is."""
    used_up = [limit for limit in _LIMITED if headers.get(f"x-ratelimit-remaining-{limit}", "").strip() == "0"]
    texts = [headers.get(f"x-ratelimit-reset-{limit}") for limit in used_up or _LIMITED]
    return max((seconds for text in texts if (seconds := _span(text, wall)) is not None), default=None)


_SPAN = re.compile(r"(?:\d{1,9}(?:\.\d{1,9})?(?:ms|s|m|h|d))+")
_PART = re.compile(r"([\d.]+)(ms|s|m|h|d)")
_SECONDS_IN = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_EPOCH = re.compile(r"\d{10}(\.\d{1,9})?|\d{13}")


def _span(text: str | None, wall: float) -> float | None:
    """A time as in `1s` and `6m0s` (OpenAI), a number of seconds, or the Unix time of its end, in seconds or in
    milliseconds."""
    if text is None:
        return None
    text = text.strip()
    if _SPAN.fullmatch(text):
        return sum(float(number) * _SECONDS_IN[unit] for number, unit in _PART.findall(text))
    if _EPOCH.fullmatch(text):
        return max((float(text) / (1000 if len(text) == 13 else 1)) - wall, 0.0)
    return _seconds(text)


def _seconds(text: str | None) -> float | None:
    """A non-negative decimal number; `float` alone would take nan and inf too."""
    if text is None or not re.fullmatch(r"\d{1,9}(\.\d{1,9})?", text.strip()):
        return None
    return float(text)


def _seconds_until(text: str | None, wall: float) -> float | None:
    if text is None:
        return None
    try:
        return max(parsedate_to_datetime(text).timestamp() - wall, 0.0)
    except (ValueError, OverflowError):
        return None


def client_timeout_seconds(headers: Mapping[str, str]) -> float | None:
    """How long the client waits before it gives up, as the openai SDKs tell: Python in `x-stainless-read-timeout`,
    JavaScript in `x-stainless-timeout`, both in seconds. None if it does not say.
    """
    seconds = _seconds(headers.get("x-stainless-read-timeout") or headers.get("x-stainless-timeout"))
    return seconds or None
