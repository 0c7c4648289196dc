"""An engine over llama.cpp whose thread is not started: the test turns it."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from models.engine.crew import Crew
from models.engine.event import Ended, Event, Failed, Piece, hand_out
from models.engine.llama import Context
from models.engine.loop import Engine
from models.engine.pace import Pace
from models.engine.params import SamplingParams
from models.engine.scheduler import Rules, Scheduler
from models.engine.snapshot import Snapshot


@dataclass
class Asked:
    """What one sequence was told."""

    number: int = -1
    events: list[Event] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, Piece))

    @property
    def end(self) -> Ended | Failed:
        (end,) = [event for event in self.events if isinstance(event, Ended | Failed)]
        return end


class ByHand:
    """What is asked is greedy and has no end before `max_tokens`, unless it says otherwise."""

    def __init__(self, context: Context, rules: Rules, step_tokens: int = 64) -> None:
        self._scheduler = Scheduler(rules, context.layout, Pace(step_tokens))
        self._engine = Engine(context, self._scheduler, Crew(1), time.monotonic, hand_out, lambda: None)

    @property
    def snapshot(self) -> Snapshot:
        return self._engine.snapshot()

    def ask(self, tokens: list[int], client: str = "", **params: Any) -> Asked:
        asked = Asked()
        wanted = SamplingParams(**{"max_tokens": 16, "seed": 1, "temperature": 0.0, "ignore_end": True, **params})
        asked.number = self._engine.submit(list(tokens), wanted, asked.events.append, client=client)
        return asked

    def cancel(self, asked: Asked) -> None:
        self._engine.cancel(asked.number)

    def turn(self, times: int = 1) -> None:
        for _ in range(times):
            assert self._engine.turn()

    def run(self) -> None:
        """Until all that was asked is answered."""
        self.turn()
        while not self._scheduler.is_idle:
            self.turn()

    def together(self, prompts: Iterable[list[int]], **params: Any) -> list[Asked]:
        """Ask all at once; returns when all are answered."""
        asked = [self.ask(prompt, **params) for prompt in prompts]
        self.run()
        return asked

    def stop(self) -> None:
        """As the server does it: the engine's own thread ends everything."""
        self._engine.start()
        assert self._engine.stop(timeout=30)
