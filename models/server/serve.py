"""The life of the server process, from flags to exit code.

Order of start: reports and socket first (so that a supervisor can tell "loading" from "dead"), then fetching,
converting, loading and warming beside them. Order of end: refuse new requests, let the others finish for a moment, fail
the rest, engine, socket, weights.
"""

import asyncio
import logging
import os
import signal
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, NoReturn

from aiohttp import web

from models.catalog.locate import ModelFile, locate, resolve
from models.conversion.fastest import Observer, fastest_file
from models.conversion.means import survey
from models.conversion.tiling import Tiling, choose_tiling
from models.download.pull import pull
from models.engine.event import Delivery, hand_out
from models.errors import EXIT_CRASHED, EXIT_OK, ListenFailed, LoadFailed, SetupError
from models.server.app import build_app
from models.server.brief_thread import in_brief_thread
from models.server.embeddings import Embedder
from models.server.lifeline import LineReporter, ReadyFacts, Reporter, SilentReporter, beat, claim_stdout
from models.server.load import Weights, build_loaded, canary, load_weights
from models.server.service import Loaded, Phase, Service
from models.server.settings import Endpoint, ServeSettings, TcpEndpoint, UnixEndpoint
from models.server.standby import prepare

if TYPE_CHECKING:
    from concurrent.futures import Future

_log = logging.getLogger(__name__)

# A supervisor that asks politely is answered within two seconds in all: requests may finish in the first, what is left
# is told that it failed, the step that still runs gets the rest. aiohttp applies its own limit twice.
_DRAIN_SECONDS: Final = 1.0
_LAST_STEP_SECONDS: Final = 0.6
_CLEANUP_SECONDS: Final = 0.1
_DRAIN_POLL_SECONDS: Final = 0.02

_OWNER_ONLY: Final = 0o077


def run(settings: ServeSettings, wanted: "Future[None]") -> int:
    """Serve until told to stop; returns the exit code.

    Args:
        settings: all flags.
        wanted: done when a server that is held may load.

    Raises:
        SetupError: the model cannot be had or loaded, or the endpoint cannot be listened on. It has been reported.

    """
    reporter: Reporter = LineReporter(claim_stdout()) if settings.is_supervised else SilentReporter()
    try:
        server = Server(settings, resolve(settings.model, settings.folder), reporter, wanted)
        try:
            return asyncio.run(server.run())
        finally:
            server.free()
    except SetupError as error:
        reporter.failed(str(error))
        raise


class Server:
    """One run of the server.

    Args:
        settings: all flags.
        file: the model to serve.
        reporter: who is told how it goes.
        wanted: done when a server that is held may load.

    """

    def __init__(self, settings: ServeSettings, file: ModelFile, reporter: Reporter, wanted: "Future[None]") -> None:
        self._settings = settings
        self._file = file
        self._reporter = reporter
        self._wanted = wanted
        self._service = Service(file.name, int(time.time()))
        self._weights: Weights | None = None
        self._has_crashed = False
        self._stop = asyncio.Event()

    async def run(self) -> int:
        """Listen, bring the model up, wait for the end.

        Raises:
            SetupError: the model cannot be had or loaded, or the endpoint cannot be listened on.

        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        beats = asyncio.create_task(beat(self._reporter, self._service.snapshot))
        runner = await self._listen()
        rise = asyncio.create_task(self._rise())
        stop = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({rise, stop}, return_when=asyncio.FIRST_COMPLETED)
            if rise.done():
                await self._sing(rise.result(), stop)
            await stop
        finally:
            self._service.phase = Phase.STOPPING
            rise.cancel()
            await self._drain()
            is_stopped = await self._stop_engine()
            await runner.cleanup()
            await asyncio.wait({rise}, timeout=_LAST_STEP_SECONDS)
            beats.cancel()
            if not is_stopped or not rise.done() or rise.cancelled():
                self._leave_at_once()
        return EXIT_CRASHED if self._has_crashed else EXIT_OK

    async def _listen(self) -> web.AppRunner:
        app = build_app(self._service, self._settings.body_limit_bytes)
        runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=_CLEANUP_SECONDS)
        await runner.setup()
        previous = os.umask(_OWNER_ONLY)
        try:
            await _site(runner, self._settings.endpoint).start()
        except OSError as error:
            raise ListenFailed(f"cannot listen on {self._settings.endpoint}: {error.strerror or error}") from error
        finally:
            os.umask(previous)
        _log.info("listening on %s", self._settings.endpoint)
        return runner

    async def _rise(self) -> Loaded | Embedder:
        await self._fetch()
        tiling = await self._choose_tiling()
        path = await self._choose_file(tiling)
        if self._settings.is_held:
            await self._stand_by(path)
        self._enter(Phase.LOADING)
        started_at = time.monotonic()
        weights = self._weights = await self._load(path, tiling)
        load_seconds = time.monotonic() - started_at
        self._enter(Phase.WARMING)
        loop = asyncio.get_running_loop()

        def on_failure() -> None:
            loop.call_soon_threadsafe(self._crash)

        def deliver(posts: Delivery) -> None:
            loop.call_soon_threadsafe(hand_out, posts)

        loaded = build_loaded(weights, self._file, self._settings, deliver, on_failure)
        loaded.engine.start()
        self._service.loaded = loaded
        first_token_seconds = await canary(loaded)
        self._service.phase = Phase.READY
        facts = ReadyFacts(
            model=self._file.name,
            context=weights.context_tokens,
            parallel=weights.parallel,
            kv=weights.kv,
            threads=weights.threads,
            gpu_layers=weights.model.gpu_layers,
            load_seconds=round(load_seconds, 3),
            first_token_seconds=round(first_token_seconds, 3),
        )
        _log.info("ready: %s", facts)
        self._reporter.ready(facts)
        return loaded

    async def _load(self, path: Path, tiling: Tiling) -> Weights:
        load = partial(load_weights, settings=self._settings, uses_tiles=tiling.uses_tiles)
        try:
            return await in_brief_thread(partial(load, path))
        except LoadFailed as error:
            if path == self._file.path:
                raise
            _log.warning("the converted copy is not used, delete it to have it made anew: %s", error)
            return await in_brief_thread(partial(load, self._file.path))

    async def _sing(self, loaded: Loaded | Embedder, stop: "asyncio.Task[Literal[True]]") -> None:
        """Generate a token now and then until told to stop: a spare that is never used fails when it is needed.

        Raises:
            LoadFailed: it cannot, any more.

        """
        while not stop.done():
            await asyncio.wait({stop}, timeout=self._settings.canary_seconds or None)
            if stop.done() or self._service.snapshot().running:  # else it is being tried already
                continue
            song = asyncio.create_task(canary(loaded))
            await asyncio.wait({stop, song}, return_when=asyncio.FIRST_COMPLETED)
            if song.done():
                _log.debug("canary: an answer in %.3f s", song.result())
            song.cancel()

    async def _stand_by(self, path: Path) -> None:
        """Have all at hand but the memory, until the model is wanted."""
        await asyncio.to_thread(prepare, path, self._wanted.done)
        self._enter(Phase.STANDBY)
        # Shielded: the thread that completes it must not find it cancelled.
        await asyncio.shield(asyncio.wrap_future(self._wanted))

    async def _fetch(self) -> None:
        entry = self._file.entry
        if entry is None or not self._file.can_be_pulled or self._file.is_present or not self._settings.may_pull:
            locate(self._settings.model, self._settings.folder)
            return
        self._enter(Phase.FETCHING)
        await pull(entry, self._settings.folder, _log.info)

    async def _choose_tiling(self) -> Tiling:
        wish = self._settings.amx
        tiling = await asyncio.to_thread(choose_tiling, self._file.path, wish)
        _log.log(logging.WARNING if wish == "on" and not tiling.uses_tiles else logging.INFO, "%s", tiling)
        return tiling

    async def _choose_file(self, tiling: Tiling) -> Path:
        settings = self._settings
        if not settings.may_convert:
            return self._file.path
        uses_tiles = tiling.uses_tiles
        means = await asyncio.to_thread(survey, settings.gpu_layers, settings.threads, uses_tiles=uses_tiles)
        observer = Observer(_log.info, _log.warning, lambda: self._enter(Phase.CONVERTING))
        return await fastest_file(self._file, means, observer)

    def _enter(self, phase: Phase) -> None:
        self._service.phase = phase
        _log.info("%s %s", phase, self._file.name)
        self._reporter.phase(phase)

    def _crash(self) -> None:
        self._has_crashed = True
        self._stop.set()

    def free(self) -> None:
        """Free the weights, after the last thread that could still be tokenizing has ended."""
        if self._weights:
            self._weights.context.close()
            self._weights.model.close()

    async def _drain(self) -> None:
        """Let what runs and waits finish for a moment; nothing new is taken meanwhile."""
        for _ in range(int(_DRAIN_SECONDS / _DRAIN_POLL_SECONDS)):
            busy = self._service.snapshot()
            if not busy.running and not busy.queued:
                return
            await asyncio.sleep(_DRAIN_POLL_SECONDS)

    async def _stop_engine(self) -> bool:
        loaded = self._service.loaded
        return loaded is None or await asyncio.to_thread(loaded.engine.stop, _LAST_STEP_SECONDS)

    def _leave_at_once(self) -> NoReturn:
        """The emergency exit, while loading or a step is still inside llama.cpp and nothing can be freed."""
        logging.shutdown()
        os._exit(EXIT_CRASHED if self._has_crashed else EXIT_OK)


def _site(runner: web.AppRunner, endpoint: Endpoint) -> web.BaseSite:
    match endpoint:
        case UnixEndpoint(path):
            return web.UnixSite(runner, path)
        case TcpEndpoint(host, port):
            return web.TCPSite(runner, host, port)
