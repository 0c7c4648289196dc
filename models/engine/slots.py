"""The model's ids for sequences: which are free, and which still hold what a sequence that ended has read.

With a split cache llama.cpp computes together only what has neighbouring ids, so there running sequences are packed at
the low end, even where that costs what was kept.
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
        is_packed: always give out the lowest.

    """

    def __init__(self, count: int, *, is_packed: bool) -> None:
        self._free = set(range(count))
        self._is_packed = is_packed
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

    def take(self, source: int | None = None) -> int | None:
        """A slot for a sequence that inherits what is kept in `source`. None: there is no other place than that one."""
        slot = self._lowest() if self._is_packed else self._cheapest(source)
        if slot is None or slot == source:
            return None
        if slot in self._kept:
            self.drop(slot)
        self._free.remove(slot)
        return slot

    def _lowest(self) -> int:
        return min([*self._free, *self._kept])

    def _cheapest(self, source: int | None) -> int | None:
        """A free one, else the one that was longest of no use."""
        return min(self._free) if self._free else next((slot for slot in self._kept if slot != source), None)

    def take_below(self, slot: int) -> int | None:
        """A place for a running sequence that leaves a gap below it; None if there is no gap, or it does not matter."""
        if not self._is_packed or not (self._free or self._kept) or self._lowest() > slot:
            return None
        return self.take()

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
