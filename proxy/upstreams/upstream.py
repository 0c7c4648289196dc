"""One live upstream: whose key goes there, which header fields, and under which model name."""

from collections.abc import AsyncIterator, Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from proxy.clock import Clock
from proxy.core.outcome import KeyOwner, Kind, Outcome
from proxy.upstreams.transport import AttemptFailed, Dispatch, Exchange, Outgoing, Sink, Transport
from proxy.wire import headers, http1, peek
from proxy.wire.headers import Fields


@dataclass(frozen=True, slots=True)
class Identity:
    """How the proxy presents itself to an upstream. `api_key` empty and `forwards_client_key` false: anonymously."""

    name: str
    base_url: str
    api_key: str = field(default="", repr=False)
    forwards_client_key: bool = False
    extra_fields: Mapping[str, str] = field(default_factory=dict, repr=False)
    max_connections: int | None = None

    @property
    def needs_no_client(self) -> bool:
        """Whether the proxy can ask this upstream on its own account."""
        return bool(self.api_key) or not self.forwards_client_key


class Call(msgspec.Struct):
    """A client's request as every upstream is handed it. `target` is path and query below /v1, as sent."""

    method: str
    target: str
    fields: Fields
    body: bytes | AsyncIterator[bytes] | None
    rendered: dict[str, bytes] = msgspec.field(default_factory=dict)
    """The head as it goes to each upstream, but for its Content-Length. May be shared by calls with equal fields."""
    draw: float | None = None
    """The number that decides whether a drill concerns it, once one is drawn."""

    def __repr__(self) -> str:
        """Without what may be a key or a prompt."""
        return f"Call({self.method} {self.target})"


class Gate(Protocol):
    """Stands before an upstream that is not always there: the supervised model server."""

    @property
    def is_open(self) -> bool:
        """Whether requests can be sent now."""
        ...

    async def wait(self, seconds: float) -> bool:
        """Wait until requests can be sent; False if they cannot within `seconds`."""
        ...

    def doubt(self) -> None:
        """A request found nobody there: do not let the next one in before there is a sign of life."""
        ...


class Sabotage(Protocol):
    """Stands before the transport during a drill, see upstreams/sabotage.py."""

    def dispatch(
        self, call: Call, body: bytes, sink: Sink, connect_seconds: float, real: Callable[[Sink], Dispatch]
    ) -> Dispatch:
        """The exchange that the sink hears of; `body` is the call's as it goes out, and `real` begins the one that
        would take place otherwise.
        """
        ...

    async def exchange(self, call: Call, connect_seconds: float) -> Exchange | None:
        """The exchange to hear of in place of the real one, if there is one. Raises AttemptFailed."""
        ...


_OURS = frozenset({"host", "content-length", "expect", "via"})
_INSPECTED = frozenset({"accept-encoding"})
_SIGNS_OF_ABSENCE = frozenset({Kind.CONNECT, Kind.RESET, Kind.CUT})


class Upstream:
    """Sends calls to one base URL."""

    def __init__(self, identity: Identity, clock: Clock, *, is_local: bool = False, gate: Gate | None = None) -> None:
        self._transport = Transport(identity.base_url, clock, max_connections=identity.max_connections)
        self._identity = identity
        self._gate = gate
        self.sabotage: Sabotage | None = None
        """While a drill runs."""
        self.name = identity.name
        self.is_local = is_local

    @property
    def needs_no_client(self) -> bool:
        """Whether it can be asked without a client's key."""
        return self._identity.needs_no_client

    def key_owner(self, fields: Fields) -> KeyOwner:
        """Whose key a call with these header fields would carry."""
        if self._identity.api_key:
            return KeyOwner.UPSTREAM
        if not self._identity.forwards_client_key:
            return KeyOwner.NOBODY
        sent = {name.lower(): value for name, value in fields}
        if "api-key" in sent or "x-api-key" in sent or not headers.is_placeholder(sent.get("authorization")):
            return KeyOwner.CLIENT
        return KeyOwner.NOBODY

    @property
    def is_ready(self) -> bool:
        """Whether requests can be sent now."""
        return self._gate is None or self._gate.is_open

    async def wait(self, seconds: float) -> bool:
        """Wait until requests can be sent; False if they cannot within `seconds`."""
        return self._gate is None or await self._gate.wait(seconds)

    def dispatch(
        self,
        call: Call,
        model: str | None,
        sink: Sink,
        *,
        connect_seconds: float,
        extra: Fields,
        dropped: Collection[str] = (),
    ) -> Dispatch:
        """Send `call` as a completion request, under this upstream's name for the model and without what is `dropped`.

        The answer is asked for without compression, because somebody will look into it. `extra` takes the place of
        what the client has sent under these names. Raises RequestInvalid.
        """
        assert isinstance(call.body, bytes)
        body = call.body if model is None else peek.with_model(call.body, model, dropped)
        head = b"%bContent-Length: %d\r\n\r\n" % (self._head(call, extra), len(body))
        if self.sabotage is not None:
            send = self._transport.dispatch
            return self.sabotage.dispatch(
                call, body, sink, connect_seconds, lambda heard: send(head, body, heard, connect_seconds)
            )
        return self._transport.dispatch(head, body, sink, connect_seconds)

    def _head(self, call: Call, extra: Fields) -> bytes:
        head = call.rendered.get(self.name)
        if head is None or extra:
            replaced = _INSPECTED | {name.lower() for name, _ in extra}
            fields = self._fields(Call(call.method, call.target, headers.without(call.fields, replaced) + extra, None))
            target = self._transport.prefix + headers.as_bytes(call.target)
            head = http1.render_request_head(call.method, target, self._transport.host, fields)[:-2]
            if not extra:
                call.rendered[self.name] = head
        return head

    async def send(self, call: Call, connect_seconds: float) -> Exchange:
        """Send `call` as it is, and wait for the head of the answer. Raises AttemptFailed."""
        outgoing = Outgoing(call.method, call.target, self._fields(call), call.body)
        try:
            if self.sabotage is not None and (played := await self.sabotage.exchange(call, connect_seconds)):
                return played
            return await self._transport.send(outgoing, connect_seconds)
        except AttemptFailed as failure:
            self.note(failure.outcome)
            raise

    def note(self, outcome: Outcome) -> None:
        """An exchange that had begun ended like this; the gate wants to know when nobody was there."""
        if self._gate and outcome.kind in _SIGNS_OF_ABSENCE:
            self._gate.doubt()

    def _fields(self, call: Call) -> Fields:
        """The client's end-to-end fields, with this upstream's credentials and no other's."""
        own = dict(self._identity.extra_fields)
        if self._identity.api_key:
            own["authorization"] = f"Bearer {self._identity.api_key}"
        credentials = frozenset() if self._identity.forwards_client_key else headers.CREDENTIALS
        dropped = _OURS | own.keys() | credentials
        passed = headers.without(headers.end_to_end(call.fields), dropped)
        return [*passed, *own.items(), *_framing(call), ("Via", headers.VIA)]

    async def close(self) -> None:
        """Close every connection."""
        await self._transport.close()


def _framing(call: Call) -> Fields:
    """A body of known length that is streamed through keeps its length; the transport frames everything else."""
    if not isinstance(call.body, AsyncIterator):
        return []
    return [(name, value) for name, value in call.fields if name.lower() == "content-length"]
