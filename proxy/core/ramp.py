"""How those who left an upstream come back to it: 5, 25, 50 and then 100 in a hundred conversations.

A service that has just come up is cold: its caches are empty, its autoscaler has scaled down, and every client that
waited for it comes at once. Prior art: HAProxy's slowstart, Envoy's slow start mode.

Who is let in is decided by conversation and not by request: each conversation has a fixed place between 0 and 1, and
the share that is let in only grows. So a dialogue changes from one model to the other once, and does not flap.
"""

from bisect import bisect_right
from dataclasses import dataclass
from hashlib import blake2b

_SHARES = (0.05, 0.25, 0.5)
"""Of the conversations, one share after the other, for equally long. 5 % of a sidecar's traffic may be nobody at all;
then the probes that ended the outage are all the proof there is, and the next share is let in on their word."""

FIRST = 0.0
"""The place of whoever is let in from the beginning."""


@dataclass(frozen=True, slots=True)
class Ramp:
    """One return, from the monotonic instant `began_at` to `ends_at`."""

    began_at: float
    seconds: float

    @property
    def ends_at(self) -> float:
        """From then on everybody is let in."""
        return self.began_at + self.seconds

    def admits_at(self, place: float) -> float:
        """The instant from which a conversation at `place` (0 <= place < 1) is let in."""
        return self.began_at + self.seconds * bisect_right(_SHARES, place) / len(_SHARES)


def place(client: str, conversation: bytes) -> float:
    """Where a client's conversation stands, from 0 up to 1. The same in every worker, unlike `hash`."""
    digest = blake2b(b"%b\0%b" % (client.encode(), conversation), digest_size=4).digest()
    return int.from_bytes(digest, "big") / 2**32
