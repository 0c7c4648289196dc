"""The model server's gate as a worker has it: it follows the fleet's, and what the worker doubts all doubt."""

from collections.abc import Callable

from proxy.upstreams.gate import ModelGate
from proxy.workers.messages import Doubted, ModelServerSeen, Wanted


class RemoteGate(ModelGate):
    """Shut until the fleet says otherwise. `send` is the way to it."""

    def __init__(self, send: Callable[[Doubted | Wanted], None]) -> None:
        super().__init__()
        self._send = send

    def doubt(self) -> None:
        """Shut it here at once, and ask the fleet to shut it for all until the next sign of life."""
        super().doubt()
        self._send(Doubted())

    def want(self) -> None:
        """Ask the fleet to wake it."""
        self._send(Wanted())

    def follow(self, seen: ModelServerSeen) -> None:
        """Be as the fleet's is now."""
        self.phase = seen.phase
        self.facts = seen.facts
        self.trouble = seen.trouble
        self.is_hopeless = seen.is_hopeless
        self._is_open = seen.is_open
        self._tell()


def seen(gate: ModelGate) -> ModelServerSeen:
    """The fleet's own, to send."""
    return ModelServerSeen(gate.phase, dict(gate.facts), gate.trouble, gate.is_open, gate.is_hopeless)
