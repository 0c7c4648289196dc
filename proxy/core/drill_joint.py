"""A drill as a fleet sees it: each worker tells what it has found, and what one leaves behind goes on counting."""

from msgspec.structs import replace

from proxy.core.drill_findings import Findings, merged, nothing
from proxy.core.drill_report import Drill
from proxy.core.drill_run import Run


class JointRecord(Run):
    """One drill. Workers are known by their numbers."""

    def __init__(self, number: int, drill: Drill, began_at: float) -> None:
        super().__init__(number, drill, began_at)
        self._gone = nothing()
        self._here: dict[int, Findings] = {}

    @property
    def findings(self) -> Findings:
        """Of all. Where nobody is left, nobody can say that the upstream is back."""
        every = merged([self._gone, *self._here.values()])
        return every if self._here else replace(every, returned_at=None)

    def expect(self, worker: int) -> None:
        """A worker was told of the drill, and will tell what it finds."""
        self._here.setdefault(worker, Findings())

    def found(self, worker: int, findings: Findings | None) -> None:
        """What a worker has found by now, all in all; None: it takes no part."""
        if findings is None:
            self._here.pop(worker, None)
        else:
            self._here[worker] = findings

    def gone(self, worker: int) -> None:
        """A worker has ended. Its breakers hold nothing back any more."""
        if left := self._here.pop(worker, None):
            self._gone = merged([self._gone, replace(left, returned_at=nothing().returned_at)])
