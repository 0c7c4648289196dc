"""One live upstream: whose key goes there, which header fields, and under which model name."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from yarl import URL

from proxy.core.outcome import KeyOwner, Kind, Outcome
from proxy.upstreams.transport import AttemptFailed, Exchange, Outgoing, Transport, connector_for
from proxy.wire import headers, peek
from proxy.wire.headers import Fields


@dataclass(frozen=True, slots=True)
class Identity:
    """How the proxy presents itself to an upstream. `api_key` empty and `forwards_client_key` false: anonymously."""

    name: str
    base_url: str
    api_key: str = field(default="", repr=False)
    forwards_client_key: bool = False
    extra_fields: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def needs_no_client(self) -> bool:
        """Whether the proxy can ask this upstream on its own account."""
        return bool(self.api_key) or not self.forwards_client_key


@dataclass(frozen=True, slots=True)
class Call:
    """A client's request as every upstream is handed it. `target` is path and query below /v1, as sent."""

    method: str
    target: str
    fields: Fields = field(repr=False)
    body: bytes | AsyncIterator[bytes] | None = field(repr=False)


class Gate(Protocol):
    """Stands before an upstream that is not always there: the supervised model server."""

    async def wait(self, seconds: float) -> bool:
        """Wait until requests can be sent; False if they cannot within `seconds`."""
        ...

    def doubt(self) -> None:
        """A request found nobody there: do not let the next one in before there is a sign of life."""
        ...


_OURS = frozenset({"host", "content-length", "expect", "via"})
_INSPECTED = frozenset({"accept-encoding"})
_SIGNS_OF_ABSENCE = frozenset({Kind.CONNECT, Kind.RESET, Kind.CUT})


class Upstream:
    """Sends calls to one base URL."""

    def __init__(self, identity: Identity, *, is_local: bool = False, gate: Gate | None = None) -> None:
        connector, base = connector_for(identity.base_url)
        self._transport = Transport(connector)
        self._base = str(base).rstrip("/")
        self._identity = identity
        self._gate = gate
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

    async def ask(
        self, call: Call, model: str | None, *, connect_seconds: float, patience_seconds: float, extra: Fields
    ) -> Exchange:
        """Send `call` as a completion request, under this upstream's name for the model. Raises AttemptFailed.

        The answer is asked for without compression, because somebody will look into it. `extra` takes the place of
        what the client has sent under these names.
        """
        body = call.body
        if model is not None and isinstance(body, bytes):
            body = peek.with_model(body, model)
        replaced = frozenset(name.lower() for name, _ in extra)
        fields = headers.without(call.fields, _INSPECTED | replaced) + extra
        return await self._send(Call(call.method, call.target, fields, body), connect_seconds, patience_seconds)

    async def pass_on(self, call: Call, *, connect_seconds: float) -> Exchange:
        """Send `call` as it is. Raises AttemptFailed."""
        return await self._send(call, connect_seconds, connect_seconds)

    async def _send(self, call: Call, connect_seconds: float, patience_seconds: float) -> Exchange:
        if self._gate and not await self._gate.wait(patience_seconds):
            raise AttemptFailed(Outcome(Kind.UNAVAILABLE, detail="the local model is not ready"))
        url = URL(f"{self._base}{call.target}", encoded=True)
        outgoing = Outgoing(call.method, url, self._fields(call), call.body)
        try:
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
    """A body of known length that is streamed through keeps its length; the client library frames everything else."""
    if not isinstance(call.body, AsyncIterator):
        return []
    return [(name, value) for name, value in call.fields if name.lower() == "content-length"]
