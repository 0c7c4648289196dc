"""Signs of life while a stream that broke waits for somebody to go on with it.

Comments are no events (WHATWG HTML, section 9.2), so SDKs do not show them. What they do is keep the read timeouts of
clients, and the idle timeouts of load balancers on the way, from ending a stream that is about to go on. They are sent
only where the client has half an answer: before that, silence is the honest word for "nobody has answered yet".
"""

from proxy.clock import Clock
from proxy.server.deadlines import Deadlines
from proxy.server.reply import Reply

PERIOD_SECONDS = 5.0
"""A third of the shortest read timeout that is in use (15 s, of some gateways)."""

COMMENT = b": resuming\n\n"


class Pulse:
    """Beats from its making on, until `stop`."""

    def __init__(self, reply: Reply, clock: Clock, deadlines: Deadlines) -> None:
        self._reply = reply
        self._clock = clock
        self._deadlines = deadlines
        self.limit_at = clock.monotonic() + PERIOD_SECONDS
        deadlines.watch(self)

    def expire(self) -> None:
        """Time for a beat."""
        self._reply.block(COMMENT)
        self.limit_at = self._clock.monotonic() + PERIOD_SECONDS
        self._deadlines.watch(self)

    def stop(self) -> None:
        """Somebody goes on, or nobody will."""
        self._deadlines.forget(self)
