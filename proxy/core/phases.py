"""How long the parts of one exchange took."""

from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class Phases:
    """Durations in seconds, filled in while the exchange goes on; None for what did not happen or has not yet.

    A pooled connection has no `dns`, `connect` and `tls`; a cached or literal address has no `dns`.
    """

    is_reused: bool = False
    dns: float | None = None
    connect: float | None = None
    tls: float | None = None
    first_byte: float | None = None
    """From the moment the request was written to the first byte of the answer."""
