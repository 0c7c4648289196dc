"""The showing: the parts of the page in their order, and what has to happen between them."""

import asyncio
from dataclasses import dataclass
from typing import Final, TextIO

from proxy.app import Hotspare
from proxy.clock import Clock
from proxy.config.schema import Config
from proxy.demo.application import Application
from proxy.demo.cloud import Cloud
from proxy.demo.flow import Flow
from proxy.demo.incident import Incident, count_requests, incident
from proxy.demo.page import Page
from proxy.demo.progress import Progress
from proxy.demo.story import Answer, Story, shortcoming, times
from proxy.errors import HotspareError

_GLANCE_SECONDS: Final = 0.1
_GLANCES: Final = 20


class DemoFailed(HotspareError):
    """What was promised could not be shown."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Where the page is shown."""

    page: Page
    out: TextIO

    def show(self, text: str) -> None:
        """Now."""
        self.out.write(text)
        self.out.flush()


@dataclass(frozen=True, slots=True)
class Performance:
    """One showing of the story. `play` it."""

    story: Story
    stage: Stage
    clock: Clock
    cloud: Cloud
    hotspare: Hotspare
    application: Application

    async def play(self) -> None:
        """From the first line to the last. Raises DemoFailed."""
        self.stage.show(self.stage.page.opening(self.story))
        await self._wait_for_the_spare()
        await self._show_the_outage()
        await self._show_the_second_answer()
        self.stage.show(self.stage.page.closing(f"http://{Config().listen}/v1"))

    async def _wait_for_the_spare(self) -> None:
        progress, began_at = Progress(self.stage.page), self.clock.monotonic()
        server = self.hotspare.model_server
        assert server
        while not server.is_open:
            self.stage.show(progress.step(server.phase, self.clock.monotonic() - began_at))
            if server.trouble:
                self.stage.show(progress.failed())
                raise DemoFailed(f"no demo without a local model: {server.trouble}")
            await asyncio.sleep(_GLANCE_SECONDS)
        self.stage.show(progress.ready(str(server.facts["model"]), self.clock.monotonic() - began_at))
        await self._pause()

    async def _show_the_outage(self) -> None:
        self.stage.show(self.stage.page.first_question(self.story.question))
        death = asyncio.create_task(self.cloud.die_in_mid_sentence())
        try:
            answer = await self._ask(self.story.question)
        finally:
            death.cancel()
            await asyncio.gather(death, return_exceptions=True)
        self.stage.show(self.stage.page.legend(answer))
        await self._pause()
        died_at = self.cloud.died_at
        self.stage.show(self.stage.page.times(times(answer, None if died_at is None else died_at - answer.asked_at)))
        self.stage.show(self.stage.page.incident(await self._counted()))
        await self._pause()
        _insist(shortcoming(answer, self.story.beginning))

    async def _show_the_second_answer(self) -> None:
        self.stage.show(self.stage.page.second_question(self.story.second_question))
        answer = await self._ask(self.story.second_question)
        self.stage.show(self.stage.page.origin(answer))
        await self._pause()
        _insist(shortcoming(answer, ""))

    async def _ask(self, question: str) -> Answer:
        flow = Flow(self.stage.page)
        answer = await self.application.ask(question, lambda piece: self.stage.show(flow.put(piece)))
        self.stage.show("\n")
        return answer

    async def _counted(self) -> Incident:
        """A request is counted a moment after its last byte."""
        for _ in range(_GLANCES):
            if count_requests(self.hotspare.snapshot()):
                break
            await asyncio.sleep(_GLANCE_SECONDS)
        return incident(self.hotspare.snapshot())

    async def _pause(self) -> None:
        await asyncio.sleep(self.story.reading_seconds)


def _insist(shortcoming: str) -> None:
    if shortcoming:
        raise DemoFailed(f"the answer was not whole: {shortcoming}")
