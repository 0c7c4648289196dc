"""The parent process: it owns the sockets, the model server and the signals, and serves no client itself."""

import asyncio
import logging
import os
import random
import shutil
import socket
import tempfile
from collections.abc import Collection, Coroutine, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from aiohttp import web

import proxy
from proxy import signals
from proxy.app import announce, listen, serving
from proxy.clock import Clock, SystemClock
from proxy.config.fault import ConfigInvalid
from proxy.config.load import Source, read
from proxy.config.schema import Config
from proxy.core.beginnings import Beginning
from proxy.drilling import build_timekeeper, targets
from proxy.server import routes
from proxy.server.drills import DrillPage
from proxy.server.operations import Operations, Readiness
from proxy.server.timekeeper import Timekeeper
from proxy.spare import build_primer, model_server_settings, model_url
from proxy.telemetry import log
from proxy.telemetry.events import FaultCaught, Phase, WorkerChanged, WorkerPhase
from proxy.telemetry.metrics import Metrics
from proxy.telemetry.publisher import Publisher
from proxy.upstreams.local import ModelServer
from proxy.upstreams.primer import Primer
from proxy.workers.drills import FleetDrills
from proxy.workers.hub import Hub
from proxy.workers.listener import bind, release
from proxy.workers.member import Member
from proxy.workers.messages import (
    Begin,
    Counted,
    DrillHarmed,
    DrillOrdered,
    DrillsAsked,
    DrillStopped,
    Noted,
    Ready,
    ToFleet,
)
from proxy.workers.reload import effective
from proxy.workers.slot import Slot

_LOGGER = logging.getLogger("hotspare.fleet")

LINGER_SECONDS: Final = 6.0
"""How long a worker that is replaced waits for its clients' next requests, which learn from the answer that their
connection closes. The openai SDK (httpx) drops connections that were idle for 5 s by itself."""

_MARGIN_SECONDS: Final = 5.0
_TICK_SECONDS: Final = 1.0


class Fleet:
    """All workers of one port. `start` it, then `stop` it; both once, on the same event loop."""

    def __init__(self, source: Source, config: Config, slots: int, clock: Clock | None = None) -> None:
        self._started = self._source = source
        self._config = config
        self._clock = clock or SystemClock()
        self._slot_count = slots
        self._metrics = Metrics(proxy.__version__)
        self._emit = Publisher(self._metrics, log.LogSink())
        self._hub = Hub(self._metrics, self._clock)
        self._drills = FleetDrills(self._hub.collect, self._clock, self._emit)
        self._folder = Path(tempfile.mkdtemp(prefix="hotspare-"))
        self._model_server = self._build_model_server()
        self._primer = self._build_primer()
        self._readiness = self._build_readiness()
        self._pages: web.AppRunner | None = None
        self._slots: list[Slot] = []
        self._listeners: list[socket.socket] = []
        self._launched = 0
        self._tasks: set[asyncio.Task[None]] = set()

    # ---- life

    async def start(self) -> None:
        """Start all workers; returns when each has accepted connections. Raises AddressInUse."""
        shares = bind(self._config.listen, self._slot_count)
        self._listeners = [listener for share in shares for listener in share]
        await self._open_pages()
        if self._model_server:
            self._spawn("supervisor", self._model_server.run())
        if self._primer:
            self._spawn("primer", self._primer.run())
        self._spawn("watch", self._watch())
        self._spawn("timekeeper", self._build_timekeeper().run())
        self._slots = [Slot(share, self._launch) for share in shares]
        for slot in self._slots:
            self._spawn("slot", slot.run())
        await asyncio.gather(*(slot.ready.wait() for slot in self._slots))

    async def stop(self) -> None:
        """Let all workers finish what runs, and end. Cancel it to end them at once."""
        self._readiness.is_draining = True
        supervisors = {task for task in self._tasks if task.get_name() in ("supervisor", "follow")}
        try:
            await _cancel(self._tasks - supervisors)
            await self._drills.close()
            release(self._listeners)
            await asyncio.gather(*(self._drain(member, linger_seconds=0.0) for member in self._hub.members))
        finally:
            for member in self._hub.members:
                member.kill()
            if self._pages:
                await self._pages.cleanup()
            await _cancel(supervisors)
            shutil.rmtree(self._folder, ignore_errors=True)

    async def reload(self, path: Path) -> None:
        """Read the configuration anew, and replace the workers one by one by such as work by it."""
        try:
            source = read(path)
            wanted = effective(self._started, source, os.environ)
        except ConfigInvalid as error:
            _LOGGER.error("the configuration is invalid; going on with the one before:\n%s", error)
            return
        if wanted.unheeded:
            _LOGGER.warning("changes of %s have no effect before a restart", ", ".join(wanted.unheeded))
        before, self._source = self._source, source
        for index, slot in enumerate(self._slots):
            try:
                old = await slot.replace()
            except OSError as error:
                # The first one shows whether workers can live by this configuration at all.
                self._source = source if index else before
                _LOGGER.error("worker not replaced, and those after it neither: %s", error.strerror)
                return
            self._config = wanted.config
            self._readiness.clouds = _clouds(wanted.config)
            if old:
                self._spawn("drain", self._drain(old, LINGER_SECONDS))
        _LOGGER.info("all workers are replaced")

    @property
    def address(self) -> tuple[str, int]:
        """Where clients connect."""
        host, port = self._listeners[0].getsockname()[:2]
        return host, port

    # ---- workers

    async def _launch(self, listeners: Sequence[socket.socket]) -> Member:
        self._launched += 1
        member = Member(self._launched, self._clock, self._hear)
        url = model_url(self._folder) if self._model_server else None
        source = self._source
        await member.start(listeners, Begin(member.number, source.file, source.text, self._started.text, url))
        self._hub.join(member)
        self._drills.join(member)  # behind what is open already: a drill looks at that first
        self._emit(WorkerChanged(member.number, WorkerPhase.STARTED))
        self._spawn("follow", self._follow(member))
        return member

    async def _follow(self, member: Member) -> None:
        how = await member.ends()
        self._hub.leave(member)
        self._drills.leave(member)
        self._emit(WorkerChanged(member.number, WorkerPhase.ENDED, how))

    async def _drain(self, member: Member, linger_seconds: float) -> None:
        if not member.is_draining:
            self._emit(WorkerChanged(member.number, WorkerPhase.DRAINING))
        await member.drain(linger_seconds, linger_seconds + self._config.limits.drain_seconds + _MARGIN_SECONDS)

    def _hear(self, member: Member, message: ToFleet) -> None:
        match message:
            case Ready():
                self._emit(WorkerChanged(member.number, WorkerPhase.READY))
            case Noted():
                if self._primer:
                    self._primer.note(Beginning(message.client, message.prompt))
            case Counted():
                self._drills.found(member, message.drill)
            case DrillOrdered() | DrillStopped() | DrillsAsked() | DrillHarmed():
                self._drills.hear(member, message)
            case _:
                self._hub.hear(member, message)

    async def _watch(self) -> None:
        """A worker whose event loop stands still is worth less than none."""
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            for member in self._hub.members:
                if member.tick():
                    _LOGGER.error("worker %d is silent and is killed", member.number)
                    member.kill()

    # ---- what the workers share

    def _build_model_server(self) -> ModelServer | None:
        local = self._config.local
        if local is None or local.url is not None:
            return None
        settings = model_server_settings(local, self._config, self._folder)
        is_ill = self._hub.is_ill
        server = ModelServer(settings, self._clock, random.Random(), self._emit, self._hub.show_gate, is_ill)
        self._hub.watch(server)
        return server

    def _build_primer(self) -> Primer | None:
        local, server = self._config.local, self._model_server
        if not (local and server and local.prime):
            return None
        return build_primer(local, server, self._folder, self._clock)

    def _build_readiness(self) -> Readiness:
        server, config = self._model_server, self._config
        elsewhere = Phase.READY if config.local else None
        return Readiness(
            self._hub.breakers,
            lambda: server.phase if server else elsewhere,
            lambda: server.trouble if server else "",
            _clouds(config),
        )

    def _build_timekeeper(self) -> Timekeeper:
        can_do_without = self._readiness.can_do_without
        return build_timekeeper(self._drills, can_do_without, lambda: self._config, self._clock, self._emit)

    async def _open_pages(self) -> None:
        """The operations pages, if they have an address of their own; else every worker answers for all."""
        if self._config.admin_listen:
            pages = web.Application()
            routes.add_operations(pages, Operations(self._readiness, self._hub.expose))
            can_do_without = self._readiness.can_do_without
            routes.add_drills(pages, DrillPage(self._drills, can_do_without, lambda: targets(self._config)))
            self._pages = runner = await serving(pages, None, self._config.limits)
            await listen(runner, self._config.admin_listen)

    def _spawn(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self._emit(FaultCaught(task.get_name(), error))


def _clouds(config: Config) -> frozenset[str]:
    return frozenset(upstream.name for upstream in config.upstreams)


async def serve(path: Path, source: Source, config: Config, slots: int) -> None:
    """Run a fleet until SIGTERM or SIGINT, then drain. A second signal ends it at once. SIGHUP replaces the workers by
    such as work by the file at `path` as it is then. Raises AddressInUse."""
    fleet = Fleet(source, config, slots)
    stopping, reloading = asyncio.Event(), asyncio.Event()
    signals.install(stopping, reloading.set)
    living, ending = asyncio.create_task(_live(fleet, path, config, reloading)), asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait([living, ending], return_when=asyncio.FIRST_COMPLETED)
        if living.done():
            living.result()
        _LOGGER.info("draining: waiting up to %g s for running requests", config.limits.drain_seconds)
    finally:
        with suppress(asyncio.CancelledError):
            try:
                await _cancel({living, ending})
            finally:
                await fleet.stop()
    _LOGGER.info("stopped")


async def _live(fleet: Fleet, path: Path, config: Config, reloading: asyncio.Event) -> None:
    await fleet.start()
    announce(fleet.address, config)
    while True:
        await reloading.wait()
        reloading.clear()
        await fleet.reload(path)


async def _cancel(tasks: Collection[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
