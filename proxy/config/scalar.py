"""What the texts in the file mean. Each parser takes a text and gives its value, or raises `Unreadable`.

YAML's own guesses (`no` is false, 1:30 is ninety) are never consulted: the schema knows what each key holds.
"""

import ipaddress
import re
from collections.abc import Callable
from typing import Final, Literal, TypeVar
from urllib.parse import SplitResult, urlsplit

from proxy.config.value import Address, Secret, Url
from proxy.core.timetable import WeekTime

V = TypeVar("V")
W = TypeVar("W")

_SECONDS_IN: Final = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_BYTES_IN: Final = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}
_DEFAULT_PORT: Final = {"http": 80, "https": 443}

# The lengths keep every product finite and every int() cheap; nine digits of seconds are 31 years.
_DURATION: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?) ?(ms|s|m|h|)")
_SIZE: Final = re.compile(r"([0-9]{1,15}) ?([kmg]?i?b|)", re.IGNORECASE)
_WHOLE: Final = re.compile(r"-?[0-9]{1,15}")
_DECIMAL: Final = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?|\.[0-9]{1,9}")
_ADDRESS: Final = re.compile(r"(?:\[(?P<six>[^]]+)\]|(?P<host>[A-Za-z0-9._-]*)):(?P<port>[0-9]{1,5})")
_HOST: Final = re.compile(r"[A-Za-z0-9._-]+")
_IDENTIFIER: Final = re.compile(r"[a-z0-9][a-z0-9_-]*")
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2
_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WEEK_TIME: Final = re.compile(r"(?P<day>[A-Za-z]{3}) (?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2})")
_SHA256: Final = re.compile(r"[0-9a-fA-F]{64}")

# RFC 9110, section 7.6.1: these speak of one connection and are set by whoever holds it.
_HOP_BY_HOP: Final = frozenset(
    {"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection"}
    | {"te", "trailer", "trailers", "transfer-encoding", "upgrade"}
)
_SET_BY_US: Final = frozenset({"host", "content-length"})


class Unreadable(ValueError):
    """A text does not read as its type. `problem` goes on where the text stops: "is not a duration".

    `hidden` says that the text may hold a key and must not be repeated in a message.
    """

    def __init__(self, problem: str, remedy: str, *, hidden: bool = False) -> None:
        super().__init__(problem)
        self.problem = problem
        self.remedy = remedy
        self.hidden = hidden


def text(raw: str) -> str:
    """Any printable text that is not empty."""
    if not raw:
        raise Unreadable("is empty", "write a value, or leave the key out")
    if not raw.isprintable():
        raise Unreadable("holds a control character", "remove it")
    return raw


def flag(raw: str) -> bool:
    """`true` or `false`, and no other spelling."""
    if raw not in {"true", "false"}:
        raise Unreadable("is neither true nor false", "write true or false")
    return raw == "true"


def whole(least: int, most: int | None = None) -> Callable[[str], int]:
    """A parser of whole numbers from `least` to `most`, both included."""
    wanted = f"write a whole number of at least {least}" + ("" if most is None else f" and at most {most}")

    def parse(raw: str) -> int:
        if not _WHOLE.fullmatch(raw):
            raise Unreadable("is not a whole number", wanted)
        number = int(raw)
        if number < least or (most is not None and number > most):
            raise Unreadable("is out of range", wanted)
        return number

    return parse


def whole_or_auto(least: int, most: int | None = None) -> Callable[[str], int | Literal["auto"]]:
    """A parser of whole numbers as `whole`, or the word `auto`."""
    return _or_word("auto", "auto", whole(least, most))


def size_or_auto(least_bytes: int) -> Callable[[str], int | Literal["auto"]]:
    """A parser of sizes as `size`, of at least so many bytes, or the word `auto`."""

    def parse(raw: str) -> int:
        number = size(raw)
        if number < least_bytes:
            raise Unreadable("is too small", f"write at least {least_bytes // 2**20}MiB")
        return number

    return _or_word("auto", "auto", parse)


def duration_or_auto(raw: str) -> float | Literal["auto"]:
    """A duration as `duration`, or the word `auto`."""
    parse: Callable[[str], float | Literal["auto"]] = _or_word("auto", "auto", duration)
    return parse(raw)


def duration_or_off(least_seconds: float) -> Callable[[str], float | None]:
    """A parser of durations as `duration`, of at least so many seconds, or the word `off`, which gives None."""

    def parse(raw: str) -> float:
        seconds = duration(raw)
        if seconds < least_seconds:
            raise Unreadable("is too short", f"write at least {least_seconds:g}s")
        return seconds

    return _or_word("off", None, parse)


def _or_word(word: str, value: W, parse: Callable[[str], V]) -> Callable[[str], V | W]:
    """A parser of what `parse` reads, or of one word; a refusal names both."""

    def parse_either(raw: str) -> V | W:
        try:
            return value if raw == word else parse(raw)
        except Unreadable as error:
            raise Unreadable(error.problem, f"{error.remedy}, or {word}") from None

    return parse_either


def one_of(*words: str) -> Callable[[str], str]:
    """A parser of a closed set of words."""

    def parse(raw: str) -> str:
        if raw not in words:
            raise Unreadable("is not one of the choices", f"write {' or '.join(words)}")
        return raw

    return parse


def ratio(raw: str) -> float:
    """A share from 0 to 1."""
    if not _DECIMAL.fullmatch(raw) or float(raw) > 1:
        raise Unreadable("is not a ratio", "write a number from 0 to 1, as in 0.5")
    return float(raw)


def share(raw: str) -> float:
    """A part of the whole, above 0: `5%`, or as `ratio`."""
    number = raw.removesuffix("%").rstrip() if raw.endswith("%") else raw
    part = float(number) / (100 if raw.endswith("%") else 1) if _DECIMAL.fullmatch(number) else 0.0
    if not 0 < part <= 1:
        raise Unreadable("is not a share", "write a percentage above 0%, as in 5%")
    return part


def week_time(raw: str) -> WeekTime:
    """A moment of every week: the day's first three letters and the hour, as in `Tue 10:00`."""
    found = _WEEK_TIME.fullmatch(raw)
    if found is None or found["day"].lower() not in _DAYS or int(found["hour"]) > 23 or int(found["minute"]) > 59:
        raise Unreadable("is not a time of the week", "write a day and an hour, as in Tue 10:00")
    return WeekTime(_DAYS.index(found["day"].lower()), int(found["hour"]), int(found["minute"]))


def duration_at_most(most_seconds: float) -> Callable[[str], float]:
    """A parser of durations as `duration`, of at most so many seconds."""

    def parse(raw: str) -> float:
        seconds = duration(raw)
        if seconds > most_seconds:
            raise Unreadable("is too long", f"write at most {most_seconds:g}s")
        return seconds

    return parse


def duration_or_zero(raw: str) -> float:
    """Seconds, from a number with ms, s, m or h; a bare number is seconds."""
    found = _DURATION.fullmatch(raw)
    if found is None:
        raise Unreadable("is not a duration", "write a number with ms, s, m or h, as in 2s")
    return float(found[1]) * _SECONDS_IN[found[2]]


def duration(raw: str) -> float:
    """Seconds, as `duration_or_zero`, but more than none."""
    seconds = duration_or_zero(raw)
    if seconds <= 0:
        raise Unreadable("is no time at all", "write a duration above zero, as in 2s")
    return seconds


def size(raw: str) -> int:
    """Bytes, at least 1, from a whole number with B, KB, MB, GB (powers of 1000) or KiB, MiB, GiB (of 1024)."""
    found = _SIZE.fullmatch(raw)
    factor = _BYTES_IN.get(found[2].lower()) if found else None
    if found is None or factor is None:
        raise Unreadable("is not a size", "write a whole number with KiB, MiB, GiB, KB, MB or GB, as in 32MiB")
    if int(found[1]) == 0:
        raise Unreadable("is no size at all", "write a size above zero, as in 32MiB")
    return int(found[1]) * factor


def identifier(raw: str) -> str:
    """A name fit for headers, metrics and routes."""
    if not _IDENTIFIER.fullmatch(raw):
        raise Unreadable("is not a name", "use a-z, 0-9, - and _, beginning with a letter or digit, as in openai-eu")
    return raw


def sha256_hex(raw: str) -> str:
    """The SHA-256 of a key in 64 hexadecimal digits, in lower case."""
    # Whatever else stands there may be the key itself, so it is never shown.
    if not _SHA256.fullmatch(raw):
        raise Unreadable("is not a SHA-256", "make one with: printf %s KEY | sha256sum", hidden=True)
    return raw.lower()


def secret(raw: str) -> Secret:
    """A key or header value, without the white space around it.

    Only printable ASCII: a line break would let the value add headers of its own, and the rest comes from bad pasting.
    """
    stripped = raw.strip()
    if not (stripped.isascii() and stripped.isprintable()):
        raise Unreadable("holds a line break, control or non-ASCII character", "write it anew on one line", hidden=True)
    return Secret(stripped)


def header_name(raw: str) -> str:
    """The name of an extra request header, in lower case, as names are the same in any case."""
    name = raw.lower()
    if not _TOKEN.fullmatch(raw):
        raise Unreadable("is not a header name", "use letters, digits and -, as in OpenAI-Organization")
    if name == "authorization":
        raise Unreadable("cannot be set here", "put the key into api_key")
    if name in _HOP_BY_HOP or name in _SET_BY_US:
        raise Unreadable("belongs to the connection and cannot be set", "remove it")
    return name


def address(raw: str) -> Address:
    """Where to listen: `host:port`, `[::1]:port` or `:port` for every interface."""
    found = _ADDRESS.fullmatch(raw)
    if found is None or int(found["port"]) > 65535 or not (found["six"] is None or _is_ipv6(found["six"])):
        raise Unreadable("is not an address", "write host:port, as in 127.0.0.1:8080, [::1]:8080 or :8080")
    return Address(found["six"] or found["host"], int(found["port"]))


def url(raw: str) -> Url:
    """The base of an API: http, https or unix. See `Url`."""
    split = _split(raw)
    if "@" in split.netloc:
        raise Unreadable("has a user or password in it", "put the key into api_key", hidden=True)
    if "?" in raw or "#" in raw:
        raise Unreadable("has a query or fragment", "end it with the path; keys belong into api_key", hidden=True)
    return _unix(split) if split.scheme == "unix" else _http(split)


_URL_REMEDY: Final = "write http(s)://host/path or unix:///path.sock, as in https://api.openai.com/v1"


def _split(raw: str) -> SplitResult:
    # urlsplit drops tabs and line breaks silently.
    if not raw.isascii() or not raw.isprintable() or " " in raw or "\\" in raw:
        raise Unreadable("is not a URL", _URL_REMEDY)
    try:
        split = urlsplit(raw)
        _ = split.port
    except ValueError:
        raise Unreadable("is not a URL", _URL_REMEDY, hidden="@" in raw) from None
    return split


def _unix(split: SplitResult) -> Url:
    path = split.path.rstrip("/")
    if split.netloc or not path:
        raise Unreadable("names no socket", "write unix:///path.sock, with three slashes")
    return Url(scheme="unix", host="", port=0, path=path, text=f"unix://{path}")


def _http(split: SplitResult) -> Url:
    host, path = split.hostname or "", split.path.rstrip("/")
    port = _DEFAULT_PORT.get(split.scheme) if split.port is None else split.port
    if split.scheme not in _DEFAULT_PORT or not port or not (_HOST.fullmatch(host) or _is_ipv6(host)):
        raise Unreadable("is not a URL", _URL_REMEDY)
    return Url(scheme=split.scheme, host=host, port=port, path=path, text=f"{split.scheme}://{split.netloc}{path}")


def _is_ipv6(host: str) -> bool:
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return False
    return True
