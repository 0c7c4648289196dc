"""Formats of strings, as regular expressions that accept nothing that a checker of the format refuses."""

from typing import Final

_YEAR: Final = r"(?:\d{3}[1-9]|\d{2}[1-9]\d|\d[1-9]\d{2}|[1-9]\d{3})"
_LEAP_YEAR: Final = r"(?:\d\d(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)"
_DAY: Final = (
    r"(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\d|30)|02-(?:0[1-9]|1\d|2[0-8]))"
)
_DATE: Final = rf"(?:{_YEAR}-{_DAY}|{_LEAP_YEAR}-02-29)"
_CLOCK: Final = r"(?:[01]\d|2[0-3]):[0-5]\d"
# No leap seconds: many checkers refuse them.
_TIME: Final = rf"{_CLOCK}:[0-5]\d(?:\.\d{{1,9}})?(?:Z|[+-]{_CLOCK})"

_TIMED: Final = r"T(?:\d{1,4}H(?:\d{1,4}M)?(?:\d{1,4}S)?|\d{1,4}M(?:\d{1,4}S)?|\d{1,4}S)"
_DATED: Final = r"(?:\d{1,4}Y(?:\d{1,4}M)?(?:\d{1,4}D)?|\d{1,4}M(?:\d{1,4}D)?|\d{1,4}D)"

# A label may have 63 characters and a whole name 253: 61 and five times 30 stay within that. No two hyphens in a row,
# which mean something to those who know about foreign alphabets.
_HEAD: Final = r"[A-Za-z0-9](?:-?[A-Za-z0-9]){0,30}"
_LABEL: Final = r"[A-Za-z0-9](?:-?[A-Za-z0-9]){0,14}"
_LOCAL: Final = r"[A-Za-z0-9_%+-]{1,30}(?:\.[A-Za-z0-9_%+-]{1,30})?"

_BYTE: Final = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_HEX: Final = r"[0-9a-fA-F]"
_GROUP: Final = rf"{_HEX}{{1,4}}"


def _ipv6() -> str:
    """Eight groups; or fewer, with one gap in their midst or at an end."""
    gaps = [
        rf"(?:{_GROUP}(?::{_GROUP}){{0,{before}}})?::(?:{_GROUP}(?::{_GROUP}){{0,{5 - before}}})?"
        for before in range(6)
    ]
    return "|".join([rf"{_GROUP}(?::{_GROUP}){{7}}", *gaps, rf"{_GROUP}(?::{_GROUP}){{6}}::"])


FORMATS: Final = {
    "date-time": rf"^{_DATE}T{_TIME}$",
    "date": rf"^{_DATE}$",
    "time": rf"^{_TIME}$",
    "duration": rf"^P(?:{_DATED}(?:{_TIMED})?|{_TIMED}|\d{{1,4}}W)$",
    "email": rf"^{_LOCAL}@{_HEAD}(?:\.{_LABEL}){{0,3}}\.[A-Za-z]{{2,24}}$",
    "hostname": rf"^{_HEAD}(?:\.{_LABEL}){{0,5}}$",
    "ipv4": rf"^{_BYTE}(?:\.{_BYTE}){{3}}$",
    "ipv6": rf"^(?:{_ipv6()})$",
    "uuid": rf"^{_HEX}{{8}}(?:-{_HEX}{{4}}){{3}}-{_HEX}{{12}}$",
}
