"""All that crosses a link, and how: four bytes of length, then one MessagePack object with its kind in it.

Both ends are the same version of the same program, so nothing here has to stay compatible.
"""

from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct

from proxy.core.breaker import State
from proxy.core.drill_findings import Findings
from proxy.core.drill_report import Drill, End
from proxy.core.drill_report import Report as DrillReport
from proxy.core.outcome import Kind
from proxy.telemetry.events import Phase

MAX_BYTES: Final = 64 * 2**20
"""No message comes near; a length beyond it means that the ends have lost step."""

_LENGTH_BYTES: Final = 4

M = TypeVar("M")


class OutOfStep(ValueError):
    """What came is no message."""


# ---- both ways: what one worker saw of an upstream, on its way to the others


class BreakerMoved(Struct, frozen=True, tag=True):
    """A breaker opened, for `open_seconds` from now on, or found its upstream well (RAMPING). `endpoint` is the path
    that a probe would ask."""

    upstream: str
    model: str
    endpoint: str
    state: State
    open_seconds: float = 0.0


class Failed(Struct, frozen=True, tag=True):
    """An attempt ended in a hard failure."""

    upstream: str
    model: str
    endpoint: str
    kind: Kind


class Recovered(Struct, frozen=True, tag=True):
    """The first success since somebody's last failure."""

    upstream: str
    model: str


# ---- fleet to worker


class Begin(Struct, frozen=True, tag=True):
    """The first message. `text` is the configuration to work by; what cannot change without a restart comes from
    `started_text`, the one that the fleet itself began with. `file` is what faults call them. `model_url` is where the
    fleet's model server listens, if it has one."""

    number: int
    file: str
    text: str
    started_text: str
    model_url: str | None


class Drain(Struct, frozen=True, tag=True):
    """Stop accepting, finish what runs, end. Clients with a kept connection get `linger_seconds` to come back on it,
    and are told with the answer that it closes."""

    linger_seconds: float


class ModelServerSeen(Struct, frozen=True, tag=True):
    """The model server and its gate, as the fleet sees them now."""

    phase: Phase
    facts: dict[str, Any]
    trouble: str
    is_open: bool
    is_hopeless: bool


class Report(Struct, frozen=True, tag=True):
    """Tell what you have counted, under this number."""

    number: int


class Exposition(Struct, frozen=True, tag=True):
    """The metrics of all, for the Scrape of that number."""

    number: int
    body: bytes
    content_type: str


class DrillSeen(Struct, frozen=True, tag=True):
    """The last drill, as the fleet sees it now. `began_at` and `ended_at` are monotonic instants: the processes of a
    machine share that clock. `end` and `ended_at` are None while it runs."""

    number: int
    drill: Drill
    began_at: float
    end: End | None
    ended_at: float | None


class DrillReports(Struct, frozen=True, tag=True):
    """The answer to DrillOrdered, DrillStopped or DrillsAsked of that number. A drill that was ordered and did not
    begin, as another one runs, has no report."""

    number: int
    reports: list[DrillReport]


# ---- worker to fleet


class Ready(Struct, frozen=True, tag=True):
    """The worker accepts connections."""


class Counted(Struct, frozen=True, tag=True):
    """What this worker has counted, and in which states its breakers are, by upstream.

    `number` is that of the last Report that this includes. `drill` is the number of the last drill and what this worker
    has found of it, None if it takes no part in drills or there was none.
    """

    number: int
    snapshot: bytes
    breakers: dict[str, dict[State, int]]
    drill: tuple[int, Findings] | None = None


class Doubted(Struct, frozen=True, tag=True):
    """A request found nobody at the model server's socket."""


class Wanted(Struct, frozen=True, tag=True):
    """The model server is needed, or will be perhaps: it must not rest."""


class Noted(Struct, frozen=True, tag=True):
    """A conversation began like this. It is prompt text."""

    client: str
    prompt: bytes

    def __repr__(self) -> str:
        return f"Noted({len(self.prompt)} bytes)"


class Scrape(Struct, frozen=True, tag=True):
    """Somebody wants the metrics of all."""

    number: int


class DrillOrdered(Struct, frozen=True, tag=True):
    """Somebody wants this drill to begin in all workers."""

    number: int
    drill: Drill


class DrillStopped(Struct, frozen=True, tag=True):
    """Somebody wants what runs to end in all workers, and to see the reports."""

    number: int


class DrillsAsked(Struct, frozen=True, tag=True):
    """Somebody wants to see the reports."""

    number: int


class DrillHarmed(Struct, frozen=True, tag=True):
    """A request failed, or nobody is left who could answer: this worker has ended the drill of that number, `at` that
    monotonic instant."""

    number: int
    at: float


News = BreakerMoved | Failed | Recovered
ToWorker = Begin | Drain | ModelServerSeen | Report | Exposition | DrillSeen | DrillReports | News
DrillQuestion = DrillOrdered | DrillStopped | DrillsAsked
ToFleet = Ready | Counted | Doubted | Wanted | Noted | Scrape | DrillQuestion | DrillHarmed | News
Message = ToWorker | ToFleet


def encode(message: Message) -> bytes:
    """The message in its frame."""
    payload = msgspec.msgpack.encode(message)
    return len(payload).to_bytes(_LENGTH_BYTES, "big") + payload


class Inbox:
    """Frames out of bytes that come in pieces of any size."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The payloads that are complete now. Raises OutOfStep."""
        self._buffer += data
        payloads = []
        while (payload := self._take()) is not None:
            payloads.append(payload)
        return payloads

    @property
    def missing_bytes(self) -> int:
        """How many bytes surely belong to the frame that is under way."""
        return self._end() - len(self._buffer)

    def _take(self) -> bytes | None:
        end = self._end()
        if len(self._buffer) < end:
            return None
        payload = bytes(self._buffer[_LENGTH_BYTES:end])
        del self._buffer[:end]
        return payload

    def _end(self) -> int:
        """Where the first frame ends, as far as that is known: at least behind its length."""
        if len(self._buffer) < _LENGTH_BYTES:
            return _LENGTH_BYTES
        length = int.from_bytes(self._buffer[:_LENGTH_BYTES], "big")
        if not 0 < length <= MAX_BYTES:
            raise OutOfStep(f"a message of {length} bytes")
        return _LENGTH_BYTES + length


_TO_WORKER: Final[msgspec.msgpack.Decoder[ToWorker]] = msgspec.msgpack.Decoder(ToWorker)
_TO_FLEET: Final[msgspec.msgpack.Decoder[ToFleet]] = msgspec.msgpack.Decoder(ToFleet)


def decode_to_worker(payload: bytes) -> ToWorker:
    """What the fleet says. Raises OutOfStep."""
    return _decode(_TO_WORKER, payload)


def decode_to_fleet(payload: bytes) -> ToFleet:
    """What a worker says. Raises OutOfStep."""
    return _decode(_TO_FLEET, payload)


def _decode(decoder: msgspec.msgpack.Decoder[M], payload: bytes) -> M:
    try:
        return decoder.decode(payload)
    except msgspec.DecodeError as error:
        raise OutOfStep(str(error)) from None
