"""The model's ids for sequences: which are free, and which still hold what a sequence that ended has read.

Running sequences take the lowest ids, since with a split cache llama.cpp computes neighbours together.
"""

from collections import OrderedDict
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kept:
    """What lies in a slot that nobody uses.

    Attributes:
        client: whose it was.
        tokens: all that the model has read there.

    """

    client: str
    tokens: list[int]


class Slots:
    """Owner of the ids.

    Args:
        count: how many there are.

    """

    def __init__(self, count: int) -> None:
        self._free = set(range(count))
        self._kept: OrderedDict[int, Kept] = OrderedDict()
        self._emptied: list[int] = []

    @property
    def kept(self) -> OrderedDict[int, Kept]:
        """What is kept, by slot, longest unused first. To be read only."""
        return self._kept

    @property
    def kept_tokens(self) -> int:
        """How many tokens are kept in all; shared ones count for each."""
        return sum(len(kept.tokens) for kept in self._kept.values())

    def take(self, besides: int | None = None) -> int | None:
        """The lowest free slot, else the one that was kept longest and is not `besides`; None if there is no other."""
        if not self._free:
            victim = next((slot for slot in self._kept if slot != besides), None)
            if victim is None:
                return None
            self.drop(victim)
        slot = min(self._free)
        self._free.remove(slot)
        return slot

    def adopt(self, slot: int) -> None:
        """Take a slot together with what is kept there. KeyError if nothing is."""
        del self._kept[slot]

    def keep(self, slot: int, kept: Kept) -> None:
        """Give a slot back, and what lies there may be used."""
        self._kept[slot] = kept

    def touch(self, slot: int) -> None:
        """What is kept there was of use again. KeyError if nothing is."""
        self._kept.move_to_end(slot)

    def release(self, slot: int) -> None:
        """Give a slot back; what lies there is of no use."""
        self._free.add(slot)
        self._emptied.append(slot)

    def drop(self, slot: int) -> None:
        """What is kept there is not worth its place. KeyError if nothing is kept."""
        del self._kept[slot]
        self.release(slot)

    def drop_oldest(self) -> bool:
        """Drop what was longest of no use; False if nothing is kept."""
        if not self._kept:
            return False
        self.drop(next(iter(self._kept)))
        return True

    def take_emptied(self) -> list[int]:
        """The slots that have to be emptied before anything else happens, each once."""
        emptied, self._emptied = list(dict.fromkeys(self._emptied)), []
        return emptied

    def reset(self) -> None:
        """Everything is lost: what was kept is gone, and nothing is left to be emptied."""
        self._free.update(self._kept)
        self._kept.clear()
        self._emptied.clear()
