"""From a completion request to a Drive: what it asks for, who may answer, and until when."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, cast

from aiohttp import web

from proxy.core.candidates import Need, Plan, Router
from proxy.core.failover import Opening
from proxy.core.outcome import Kind
from proxy.server.account import ACCOUNT, Account
from proxy.server.attempt import Question
from proxy.server.body import read_json_body
from proxy.server.drive import Drive, Means
from proxy.server.reply import Reply
from proxy.server.sampler import Sampler
from proxy.server.settings import ServerSettings
from proxy.telemetry.events import Endpoint
from proxy.upstreams.upstream import Call
from proxy.wire import headers
from proxy.wire.headers import Fields
from proxy.wire.peek import Peek, peek

_OPENINGS = 64
_EMBEDDINGS = Endpoint.EMBEDDINGS
_NO_NEEDS: frozenset[Need] = frozenset()


class Draining:
    """Whether the proxy is about to end: then an answer is the last one on its connection."""

    __slots__ = ("is_on",)

    def __init__(self) -> None:
        self.is_on = False


@dataclass(slots=True)
class Asked:
    """What the head of a request says. The same for every request of a client that begins with the same bytes."""

    target: str
    """Path and query below /v1."""
    fields: Fields
    deadline_seconds: float
    deadline_kind: Kind
    local_reserve_seconds: float
    rendered: dict[str, bytes] = field(default_factory=dict)
    """For each upstream that was asked: the head as it goes there."""
    openings: dict[tuple[Plan, bool], Opening] = field(default_factory=dict)
    """For each plan, streamed and not: how it begins."""


@dataclass(frozen=True, slots=True)
class Relay:
    """Serves the completion endpoints: what can fail over."""

    means: Means
    router: Router
    settings: ServerSettings
    draining: Draining
    sampler: Sampler | None = None

    def asked(self, target: str, fields: Fields, lookup: Mapping[str, str]) -> Asked:
        """Read a head; `lookup` are its fields by name, whatever the case."""
        seconds, kind = _deadline(lookup, self.settings)
        return Asked(target, fields, seconds, kind, min(self.settings.local_reserve_seconds, seconds / 2))

    def drive(self, asked: Asked, body: bytes, account: Account, reply: Reply, on_end: Callable[[int], None]) -> Drive:
        """A drive that is ready to begin. Raises RequestInvalid."""
        seen = peek(body)
        account.is_stream = seen.is_stream
        is_plain = not seen.needs and account.endpoint is not _EMBEDDINGS
        plan = self.router.plan(seen.model, _NO_NEEDS if is_plain else _needs(seen, account.endpoint))
        if (sampler := self.sampler) is not None and account.started_at >= sampler.due_at:
            _sample(sampler, plan, account, body)
        opening = asked.openings.get((plan, seen.is_stream)) or self._open(asked, plan, seen.is_stream)
        call = Call("POST", asked.target, asked.fields, body, asked.rendered)
        question = Question(call, seen.model, seen.is_stream)
        return Drive(self.means, account, question, plan, opening, reply, on_end)

    def _open(self, asked: Asked, plan: Plan, is_stream: bool) -> Opening:
        opening = Opening(
            plan.candidates,
            self.settings.timeouts,
            is_stream=is_stream,
            deadline_seconds=asked.deadline_seconds,
            deadline_kind=asked.deadline_kind,
            local_reserve_seconds=asked.local_reserve_seconds,
            hedges=self.settings.hedges,
        )
        if len(asked.openings) >= _OPENINGS:  # model names come from clients
            asked.openings.clear()
        asked.openings[plan, is_stream] = opening
        return opening

    async def handle(self, request: web.Request, call_target: str) -> web.StreamResponse:
        """The way in for whatever is not plain enough for the lane. Raises RequestInvalid."""
        account = request[ACCOUNT]
        body = await read_json_body(request, self.settings)
        if request.transport is None:
            raise ConnectionResetError("the client has left")
        closes = self.draining.is_on or not request.keep_alive
        is_chunked = request.version >= (1, 1)
        reply = Reply(request.transport, is_chunked, closes=closes or not is_chunked)
        ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        asked = self.asked(call_target, list(request.headers.items()), request.headers)

        def end(status: int) -> None:
            if not ended.done():
                ended.set_result(status)

        drive = self.drive(asked, body, account, reply, end)
        carrier = cast("Carrier", request.protocol)
        carrier.carry(drive)
        drive.begin()
        try:
            return Written(await ended, reply)
        except asyncio.CancelledError:
            drive.client_gone()
            raise
        finally:
            carrier.carry(None)


class Carrier(Protocol):
    """A client's connection: it tells the drive when the client stops reading, and reads again."""

    def carry(self, drive: Drive | None) -> None:
        """From now on it is this drive that writes to the connection."""
        ...


class Written(web.StreamResponse):
    """For aiohttp: an answer that is on the connection already."""

    def __init__(self, status: int, reply: Reply) -> None:
        super().__init__(status=status)
        self._is_kept = not reply.closes

    @property
    def keep_alive(self) -> bool | None:
        """Whether the connection can carry another answer."""
        return self._is_kept

    async def prepare(self, request: web.BaseRequest) -> None:
        """Nothing is left to be sent."""

    async def write_eof(self, data: bytes = b"") -> None:
        """Nor to be ended."""


def _sample(sampler: Sampler, plan: Plan, account: Account, body: bytes) -> None:
    """Only what the local model may have to answer is worth knowing."""
    if account.endpoint is Endpoint.CHAT and any(candidate.is_local for candidate in plan.candidates):
        sampler.take(account.client, body, account.started_at)


def _needs(seen: Peek, endpoint: Endpoint) -> frozenset[Need]:
    if endpoint is _EMBEDDINGS:
        return frozenset({Need.EMBEDDINGS, *map(Need, seen.needs)})
    return frozenset(map(Need, seen.needs))


def _deadline(lookup: Mapping[str, str], settings: ServerSettings) -> tuple[float, Kind]:
    """Ours, or the client's own where that is shorter, less a twentieth: an answer has to arrive before it hangs up."""
    patience_seconds = headers.client_timeout_seconds(lookup)
    if patience_seconds is None or patience_seconds * 0.95 >= settings.deadline_seconds:
        return settings.deadline_seconds, Kind.DEADLINE
    return patience_seconds * 0.95, Kind.CLIENT_DEADLINE
