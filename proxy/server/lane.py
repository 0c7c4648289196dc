"""The fast lane: plain completion requests, from their bytes to a Drive without a parser, a task or a request object.

A client sends the same head again and again, but for its Content-Length. So a head is read once, and what it says is
kept: who the client is, its deadline, how it goes on to each upstream. Whatever is not plain, and whatever is wrong,
is left to aiohttp, which finds the same fault and words it.
"""

from collections.abc import Callable
from dataclasses import dataclass

from multidict import CIMultiDict

from proxy.errors import RequestInvalid
from proxy.server.account import CLIENT_GONE, Account
from proxy.server.body import too_slow
from proxy.server.deadlines import Deadlines
from proxy.server.drive import Drive
from proxy.server.middleware import Reception, endpoint_of
from proxy.server.relay import Asked, Relay
from proxy.server.reply import Reply
from proxy.server.response import OwnAnswer, refusal
from proxy.telemetry.events import Endpoint, FaultCaught, Result
from proxy.wire import headers
from proxy.wire.request import Frame, PlainHead, frame, read

_MAX_HEADS = 1024


@dataclass(slots=True)
class Known:
    """A head that was read, and whose client is let in."""

    endpoint: Endpoint
    client: str
    request_id: str
    asked: Asked


class Lane:
    """What all connections of a process share."""

    def __init__(self, reception: Reception, relay: Relay, deadlines: Deadlines) -> None:
        self.deadlines = deadlines
        self._reception = reception
        self._relay = relay
        self.draining = relay.draining
        self._settings = relay.settings
        self.body_bytes = relay.settings.body_bytes
        # Clients are told apart by the whole head, key included. A guess of a key that is nearly right finds nothing:
        # Python's hash of bytes is keyed, so how long the search takes says nothing about how close the guess was.
        self._known: dict[bytes, Known] = {}

    @property
    def body_timeout_seconds(self) -> float:
        """How long a body may take to arrive."""
        return self._settings.body_timeout_seconds

    def find(self, data: bytes) -> tuple[Frame, Known] | None:
        """The plain request that `data` begins with, its head complete; None if there is none."""
        found = frame(data)
        if found is None or found.end - found.body_at > self.body_bytes:
            return None
        head = found.head
        known = self._known.get(head) or self._learn(head)
        return (found, known) if known else None

    def open(self, known: Known) -> Account:
        """A request begins."""
        return self._reception.open(known.endpoint, "POST", known.request_id, known.client)

    def close(self, account: Account, status: int) -> None:
        """It has ended."""
        self._reception.close(account, status)

    def gone(self, account: Account) -> None:
        """The client has left before its request was on its way."""
        account.result = Result.CLIENT_GONE
        self._reception.close(account, CLIENT_GONE)

    def drive(self, known: Known, body: bytes, account: Account, reply: Reply, on_end: Callable[[int], None]) -> Drive:
        """A drive that is ready to begin. Raises RequestInvalid."""
        return self._relay.drive(known.asked, body, account, reply, on_end)

    def refuse(self, account: Account, error: RequestInvalid, reply: Reply) -> int:
        """Say what is wrong with a request; the status that says so."""
        account.result = Result.CALLER_ERROR
        return _send(refusal(error, account), reply)

    def fault(self, account: Account, error: Exception, reply: Reply) -> int:
        """Say that we have failed on a request; the status that says so."""
        return _send(self._reception.fault(error, account), reply)

    def stumbled(self, error: Exception) -> None:
        """Bytes could not be looked at, for a mistake of ours."""
        self._reception.emit(FaultCaught("lane", error))

    def too_slow(self) -> RequestInvalid:
        """A body has not arrived in time."""
        return too_slow(self._settings)

    def _learn(self, head: bytes) -> Known | None:
        plain = read(head)
        known = self._admit(plain) if plain else None
        if known:
            if len(self._known) >= _MAX_HEADS:  # traces and request ids make every head a new one
                self._known.clear()
            self._known[head] = known
        return known

    def _admit(self, plain: PlainHead) -> Known | None:
        lookup = CIMultiDict(plain.fields)
        try:
            client = self._reception.client(lookup.get("Authorization"))
        except RequestInvalid:
            return None
        given = lookup.get("x-request-id", "")
        asked = self._relay.asked(plain.path.removeprefix("/v1"), plain.fields, lookup)
        return Known(endpoint_of(plain.path), client, given if headers.is_request_id(given) else "", asked)


def _send(answer: OwnAnswer, reply: Reply) -> int:
    reply.whole(answer.status, answer.lines(), answer.body)
    return answer.status
