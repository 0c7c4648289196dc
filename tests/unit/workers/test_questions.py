"""A worker's questions, each with its own answer."""

import asyncio

import pytest

from proxy.workers.messages import DrillsAsked, Message, Scrape
from proxy.workers.questions import Questions

LONG_SECONDS = 60.0


class Fleet:
    """Hears questions."""

    def __init__(self) -> None:
        self.heard: list[Message] = []
        self.questions = Questions[str](self.heard.append)


async def test_answers_go_to_who_asked_in_any_order() -> None:
    fleet = Fleet()
    asking = [asyncio.create_task(fleet.questions.ask(Scrape, LONG_SECONDS)) for _ in range(2)]
    await asyncio.sleep(0)
    assert fleet.heard == [Scrape(0), Scrape(1)]
    fleet.questions.answer(1, "second")
    fleet.questions.answer(0, "first")
    assert await asyncio.gather(*asking) == ["first", "second"]


async def test_answer_that_nobody_waits_for_is_dropped() -> None:
    fleet = Fleet()
    with pytest.raises(TimeoutError):
        await fleet.questions.ask(DrillsAsked, 0.0)
    fleet.questions.answer(0, "late")
    asking = asyncio.create_task(fleet.questions.ask(DrillsAsked, LONG_SECONDS))
    await asyncio.sleep(0)
    fleet.questions.answer(1, "in time")
    assert await asking == "in time"
