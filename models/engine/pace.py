"""How fast this machine is, learnt from its last steps; and what follows from it.

A step costs about `decode(rows) + prefill * tokens`: reading prompts is bound by arithmetic, so it grows with every
token, while the rows of a decode step share the reading of the weights and are learnt by their number.
"""

import math
from heapq import heapify, heapreplace
from typing import Final

from models.engine.sequence import Sequence

_MEMORY: Final = 0.2
"""What the newest step weighs in an average: a change is believed after some ten steps."""

_LEAST_PREFILL: Final = 32
"""Fewer tokens do not fill the processor, so they tell nothing, and would make a prompt take for ever."""

_FIRST_PREFILL: Final = 128
"""Before anything is known."""

_PATIENCE: Final = 4
"""So many times longer may a step take for which no stream waits: of several prompts the short ones do wait for it."""

_LONE_PATIENCE: Final = 8
"""And so many where nobody else is there at all: cancels and newcomers do wait for it, but every portion into which a
prompt is cut costs it a step.
"""

DEFAULT_ANSWER_TOKENS: Final = 200


class Pace:
    """Owner of what was measured.

    Args:
        step_tokens: the most that a step may read.
        target_seconds: how long a step may take where streams wait for it. A quarter of a second is a reader's blink,
            and the longest pause that one long prompt causes to everybody else.

    """

    def __init__(self, step_tokens: int, target_seconds: float = 0.25) -> None:
        self.step_tokens = step_tokens
        self._target_seconds = target_seconds
        self._decode_seconds: dict[int, float] = {}
        self._prefill_seconds: float | None = None
        self._answer_tokens = float(DEFAULT_ANSWER_TOKENS)

    # ---- what happened

    def observe(self, decoded: int, prefilled: int, seconds: float) -> None:
        """A step has read `decoded` rows of running streams and `prefilled` tokens of prompts."""
        if not prefilled:
            self._decode_seconds[decoded] = _blend(self._decode_seconds.get(decoded), seconds)
        elif prefilled >= _LEAST_PREFILL:
            for_prompts = max(seconds - self.step_seconds(decoded), seconds / 2)
            self._prefill_seconds = _blend(self._prefill_seconds, for_prompts / prefilled)

    def answered(self, tokens: int) -> None:
        """An answer has ended after so many tokens."""
        self._answer_tokens = _blend(self._answer_tokens, float(tokens))

    # ---- what follows

    def step_seconds(self, rows: int) -> float:
        """What a step takes in which so many streams get one token each; 0 while unknown.

        From fewer streams to more it grows slower than their number: the root is a guess between the two.
        """
        if not rows or not self._decode_seconds:
            return 0.0
        nearest = min(self._decode_seconds, key=lambda known: (abs(known - rows), known))
        seconds = self._decode_seconds[nearest]
        return seconds if nearest >= rows else seconds * math.sqrt(rows / nearest)

    def budget(self, decoding: int, *, is_lone: bool = False) -> int:
        """How many tokens of prompts the next step may read beside so many running streams.

        Args:
            decoding: streams that get a token each.
            is_lone: one prompt is all that there is to do.

        """
        room = self.step_tokens - decoding
        if not self._prefill_seconds:
            return min(_FIRST_PREFILL, room)
        if decoding:
            seconds = self._target_seconds - self.step_seconds(decoding)
        else:
            seconds = self._target_seconds * (_LONE_PATIENCE if is_lone else _PATIENCE)
        return min(max(int(seconds / self._prefill_seconds), _LEAST_PREFILL), room)

    def occupancy_seconds(self, sequence: Sequence, slots: int) -> float:
        """For how long a sequence will hold its slot from now on, when all slots are taken."""
        left = min(sequence.params.max_tokens - sequence.completion_tokens, self._answer_tokens)
        prefill = self._prefill_seconds or 0.0
        return max(left, 1.0) * self.step_seconds(slots) + sequence.unread * prefill * slots

    def expected_wait_seconds(self, running: list[Sequence], waiting: list[Sequence], slots: int) -> float:
        """Until one who comes behind `waiting` gets a slot. 0 while nothing is known of this machine."""
        ends = [self.occupancy_seconds(sequence, slots) for sequence in running]
        ends += [0.0] * (slots - len(ends))
        heapify(ends)
        for sequence in waiting:
            heapreplace(ends, ends[0] + self.occupancy_seconds(sequence, slots))
        return ends[0]

    def reading_seconds(self, tokens: int) -> float:
        """How long reading a prompt takes."""
        return tokens * (self._prefill_seconds or 0.0)


def _blend(known: float | None, new: float) -> float:
    return new if known is None else known + _MEMORY * (new - known)
