"""The child process: a whole proxy, on sockets that it was handed, bound to its fleet by the link.

It goes when the fleet says so or when the link ends, which also happens when the fleet is killed by `kill -9`. Signals
are the fleet's to act on: a service manager sends SIGTERM to every process of the service, and the fleet drains them.
"""

import asyncio
import os
import signal
import socket
from collections.abc import Sequence
from typing import Final

import uvloop

from proxy import memory
from proxy.app import Hotspare, Shared
from proxy.config.load import Source
from proxy.config.schema import Config
from proxy.core.beginnings import Beginning
from proxy.telemetry import log
from proxy.telemetry.events import Event
from proxy.telemetry.page import page
from proxy.telemetry.tally import encode_snapshot
from proxy.workers.gate import RemoteGate
from proxy.workers.link import Link
from proxy.workers.messages import (
    Begin,
    BreakerMoved,
    Counted,
    Drain,
    DrillReports,
    DrillSeen,
    Exposition,
    Failed,
    Inbox,
    ModelServerSeen,
    Noted,
    Ready,
    Recovered,
    Report,
    Scrape,
    ToWorker,
    decode_to_worker,
)
from proxy.workers.questions import Questions
from proxy.workers.reload import effective
from proxy.workers.remote_drills import RemoteDrills, follow
from proxy.workers.sharing import Sharing

REPORT_SECONDS: Final = 1.0
SCRAPE_SECONDS: Final = 1.0
"""How long a scrape waits for the fleet; after that this worker answers for itself alone."""


def main(arguments: Sequence[str]) -> int:
    """Be a worker. `arguments` are descriptors: the link's, then those of the listening sockets."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    link, *listeners = (_inherited(int(argument)) for argument in arguments)
    begin = _read_begin(link)
    if begin is None:
        return 0
    started, wanted = Source(begin.file, begin.started_text), Source(begin.file, begin.text)
    config = effective(started, wanted, os.environ).config
    with (
        log.configured(config.log.format, config.log.level, worker=begin.number),
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(Worker(config, begin, listeners).run(link))
    return 0


def _inherited(descriptor: int) -> socket.socket:
    taken = socket.socket(fileno=descriptor)
    taken.set_inheritable(False)
    return taken


def _read_begin(link: socket.socket) -> Begin | None:
    """The first message; None if the fleet is gone already. Read before there is a loop: all else depends on it."""
    inbox = Inbox()
    payloads: list[bytes] = []
    while not payloads:
        data = link.recv(inbox.missing_bytes)  # and no more: what follows is for the loop to read
        if not data:
            return None
        payloads = inbox.feed(data)
    message = decode_to_worker(payloads[0])
    assert isinstance(message, Begin)
    return message


class Worker:
    """A proxy, and what ties it to the others."""

    def __init__(self, config: Config, begin: Begin, listeners: Sequence[socket.socket]) -> None:
        self._link = Link(decode_to_worker, self._receive)
        self._gate = RemoteGate(self._link.send) if begin.model_url else None
        self._drills = RemoteDrills(self._link.send)
        shared = Shared(
            tuple(listeners),
            self._gate,
            begin.model_url,
            self._tell,
            self._expose,
            self._note,
            self._drills,
            self._drills.tell,
        )
        self._hotspare = Hotspare(config, shared=shared)
        self._sharing = Sharing(self._hotspare.pool, self._link.send)
        self._leaving = asyncio.Event()
        self._linger_seconds = 0.0
        self._reported = 0
        self._scrapes = Questions[tuple[bytes, str]](self._link.send)

    async def run(self, link: socket.socket) -> None:
        """Serve until told to go, or until nobody is there to tell."""
        await self._link.open(link)
        await self._hotspare.start()
        asyncio.get_running_loop().call_later(memory.SETTLE_SECONDS, memory.settle)
        self._link.send(Ready())
        background = [asyncio.create_task(self._report_regularly()), asyncio.create_task(self._watch_link())]
        await self._leaving.wait()
        await self._hotspare.drain(self._linger_seconds)
        await self._hotspare.stop()
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)
        self._report()
        self._link.close()
        await self._link.closed.wait()

    def _receive(self, message: ToWorker) -> None:
        match message:
            case BreakerMoved() | Failed() | Recovered():
                self._sharing.hear(message)
                self._look_at_drill()
            case ModelServerSeen() if self._gate:
                self._gate.follow(message)
                self._look_at_drill()
            case DrillSeen() if self._hotspare.drillmaster:
                follow(self._hotspare.drillmaster, message)
            case DrillReports():
                self._drills.answer(message.number, message.reports)
            case Report():
                self._reported = message.number
                self._report()
            case Exposition():
                self._scrapes.answer(message.number, (message.body, message.content_type))
            case Drain():
                self._linger_seconds = message.linger_seconds
                self._leaving.set()

    def _tell(self, event: Event) -> None:
        self._sharing.tell(event)

    def _note(self, beginning: Beginning) -> None:
        self._link.send(Noted(beginning.client, beginning.prompt))

    # ---- drills

    def _look_at_drill(self) -> None:
        if master := self._hotspare.drillmaster:
            master.look()

    # ---- metrics

    def _report(self) -> None:
        snapshot = encode_snapshot(self._hotspare.snapshot())
        breakers = {name: dict(states) for name, states in self._hotspare.pool.states().items()}
        master = self._hotspare.drillmaster
        self._link.send(Counted(self._reported, snapshot, breakers, master.findings() if master else None))

    async def _report_regularly(self) -> None:
        while True:
            self._report()
            await asyncio.sleep(REPORT_SECONDS)

    async def _expose(self) -> tuple[bytes, str]:
        """The metrics of all; those of this worker if the fleet does not answer."""
        try:
            return await self._scrapes.ask(Scrape, SCRAPE_SECONDS)
        except TimeoutError:
            return await page(self._hotspare.snapshot())

    # ---- the end

    async def _watch_link(self) -> None:
        """Without a fleet there is no model server, no successor and nobody to ask for the end: go."""
        await self._link.closed.wait()
        self._leaving.set()
