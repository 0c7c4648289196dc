"""Who is measured when: servers take turns within each round, the second time in the other order, and so on. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from tests.bench.serving.prompt import Kind
from tests.bench.serving.server import Server

OVERFLOW_CLIENTS = 8
OVERFLOW_OUTPUT_TOKENS = 400


class Mode(Enum):
    """What a server has seen when the burst comes.

    `COLD`: nothing but one short request, in a process of this burst's own; that is an outage. `WARM`: a burst with the
    same beginning just before, if there is one that is shared.
    """

    COLD = "cold"
    WARM = "warm"


@dataclass(frozen=True, slots=True)
class Case:
    """One burst: so many clients at once."""

    mode: Mode
    kind: Kind
    clients: int

    def __str__(self) -> str:
        return f"{self.mode.value}, {self.kind.value}, {self.clients} clients"


@dataclass(frozen=True, slots=True)
class Turn:
    """What one server goes through in one process, if it is launched here."""

    server: Server
    round_number: int
    cases: tuple[Case, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that is measured: each mode with each kind of prompts and each number of clients, in rounds."""

    servers: Sequence[Server]
    modes: Sequence[Mode]
    kinds: Sequence[Kind]
    clients: Sequence[int]
    rounds: int

    def turns(self) -> Iterator[Turn]:
        """In the order in which they are due. What runs already cannot be had cold."""
        for number in range(self.rounds):
            for cases in self._groups():
                for server in self.servers[:: -1 if number % 2 else 1]:
                    if server.is_launched or cases[0].mode is Mode.WARM:
                        yield Turn(server, number, cases)

    def _groups(self) -> Iterator[tuple[Case, ...]]:
        """The cases that may share a process."""
        for mode in self.modes:
            for clients in self.clients:
                cases = tuple(Case(mode, kind, clients) for kind in self.kinds)
                yield from [(case,) for case in cases] if mode is Mode.COLD else [cases]


def overflow(servers: Sequence[Server], rounds: int) -> Plan:
    """A few clients with long answers, for servers with too small a KV cache."""
    # Disjoint: a beginning in common would save the very cells that are to run out. Warm: whatever runs can take part.
    return Plan(servers, [Mode.WARM], [Kind.DISJOINT], [OVERFLOW_CLIENTS], rounds)
