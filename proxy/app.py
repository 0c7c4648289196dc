"""The composition root: the only file that knows every room. From a Config to a running proxy, and down again."""

import asyncio
import logging
import random
import shutil
import socket
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

import proxy
from proxy import memory, signals
from proxy.clock import Clock, SystemClock
from proxy.config.schema import LOCAL, Config, LimitSettings, LocalSettings, RouteSettings, UpstreamSettings
from proxy.config.value import Address
from proxy.core.action import Timeouts
from proxy.core.beginnings import Beginning
from proxy.core.budget import RetryBudget
from proxy.core.candidates import LOSS_OF_LOCAL_MODEL, Prefill, Route, Router, Target
from proxy.core.drill_record import Record
from proxy.core.drill_report import End
from proxy.core.health import Health, HealthPolicy
from proxy.core.standby import is_ill
from proxy.drilling import build_timekeeper, targets, wants_drills
from proxy.errors import HotspareError
from proxy.server import routes
from proxy.server.attempt import Facilities
from proxy.server.connection import Runner
from proxy.server.deadlines import Deadlines
from proxy.server.drill_owner import DrillOwner, SoleOwner
from proxy.server.drillmaster import Drillmaster
from proxy.server.drills import PATH as DRILLS_PATH
from proxy.server.drills import DrillPage
from proxy.server.drive import Means
from proxy.server.journal import Budget
from proxy.server.lane import Lane
from proxy.server.listing import Listing
from proxy.server.middleware import InFlight, Reception
from proxy.server.operations import Expose, Operations, Readiness
from proxy.server.passthrough import Passthrough
from proxy.server.relay import Draining, Relay
from proxy.server.sampler import Sampler
from proxy.server.settings import Client, ServerSettings
from proxy.server.timekeeper import Timekeeper
from proxy.spare import build_primer, model_server_settings, model_url, served_model
from proxy.telemetry import log
from proxy.telemetry.events import DrillChanged, Emit, Event, FaultCaught, Phase
from proxy.telemetry.metrics import Metrics
from proxy.telemetry.page import page
from proxy.telemetry.publisher import FLUSH_SECONDS, Publisher
from proxy.telemetry.tally import Snapshot
from proxy.upstreams.alarm import Alarm
from proxy.upstreams.checker import Checker
from proxy.upstreams.gate import ModelGate
from proxy.upstreams.local import ModelServer
from proxy.upstreams.pool import Pool
from proxy.upstreams.primer import Primer
from proxy.upstreams.probe import Prober
from proxy.upstreams.upstream import Identity, Upstream

_LOGGER = logging.getLogger("hotspare")
_KEEPALIVE_SECONDS = 75.0
_LINGER_SECONDS = 2.0
_GLANCE_SECONDS = 0.05
_BACKLOG = 1024
_FIELD_BYTES = 32 * 1024


class AddressInUse(HotspareError):
    """The proxy cannot listen where it should."""

    def __init__(self, address: Address, error: OSError) -> None:
        super().__init__(f"cannot listen on {address}: {error.strerror}; stop what uses it, or change 'listen'")


@dataclass(frozen=True, slots=True)
class Shared:
    """What a worker has in common with others, in place of its own."""

    listeners: tuple[socket.socket, ...]
    """Bound to the API's address."""
    gate: ModelGate | None
    """Before the model server that all share, and `model_url` is where it listens; None if there is none."""
    model_url: str | None
    tell: Emit
    """One more sink, for what the others should know."""
    expose: Expose
    """The metrics of all."""
    note: Callable[[Beginning], None]
    """Hears how a conversation began."""
    drills: DrillOwner
    """Of the drills of all."""
    tell_drill: Callable[[Record], None]
    """Hears of their course here."""


class Hotspare:
    """A whole proxy. `start` it, then `stop` it; both once, on the same event loop."""

    def __init__(
        self,
        config: Config,
        *,
        clock: Clock | None = None,
        rng: random.Random | None = None,
        shared: Shared | None = None,
    ) -> None:
        self._config = config
        self._clock = clock or SystemClock()
        self._rng = rng or random.Random()
        self._shared = shared
        self._metrics = Metrics(proxy.__version__)
        self._emit = Publisher(self._metrics, log.LogSink(), *self._sinks())
        self._folder = None if shared else Path(tempfile.mkdtemp(prefix="hotspare-"))
        self.model_server = self._build_model_server()
        self._primer = self._build_primer()
        self._gate = shared.gate if shared else self.model_server
        self._timeouts = _timeouts(config)
        self.pool = self._build_pool()
        self._in_flight = InFlight()
        self._deadlines = Deadlines(self._clock)
        self._draining = Draining()
        self._readiness = Readiness(
            self.pool.states,
            self._local_phase,
            lambda: self._gate.trouble if self._gate else "",
            frozenset(upstream.name for upstream in config.upstreams),
        )
        self.drillmaster = self._build_drillmaster()
        self._metrics.watch(lambda: self._in_flight.count, self.pool.states)
        self._runners: list[Runner] = []
        self._tasks: list[asyncio.Task[None]] = []

    # ---- life

    async def start(self) -> None:
        """Listen, and start what works in the background. Raises AddressInUse."""
        api, lane, operations = self._build_applications()
        if operations:
            assert self._config.admin_listen
            await self._listen(operations, None, self._config.admin_listen)
        await self._listen(api, lane, self._config.listen, *(self._shared.listeners if self._shared else []))
        self._spawn("publisher", self._publish())
        self._spawn("prober", Prober(self.pool, self._timeouts, self._clock, self._emit).run())
        self._spawn("checker", Checker(self.pool, self._checked(), self._clock, self._rng, self._emit).run())
        if self.drillmaster and self._config.drills.schedule and self._shared is None:
            self._spawn("timekeeper", self._build_timekeeper(self.drillmaster).run())
        if self.model_server:
            self._spawn("supervisor", self.model_server.run())
        if self._primer:
            self._spawn("primer", self._primer.run())

    async def drain(self, linger_seconds: float) -> None:
        """Leave the port to a successor: no new connections, and every answer from now on says that its connection
        closes. Clients that keep one get `linger_seconds` to come back on it, so that none finds it shut in the moment
        of writing. Then `stop`.
        """
        self._draining.is_on = True
        for site in [site for runner in self._runners for site in runner.sites]:
            await site.stop()
        with suppress(TimeoutError):
            async with asyncio.timeout(linger_seconds):
                while any(runner.server and runner.server.connections for runner in self._runners):
                    await asyncio.sleep(_GLANCE_SECONDS)

    async def stop(self) -> None:
        """Drain and end: readiness off, no new connections, running requests finished up to the limit."""
        self._readiness.is_draining = self._draining.is_on = True
        if self.drillmaster:
            self._leave_drill(self.drillmaster)
        for runner in reversed(self._runners):  # the operations pages go last
            await runner.cleanup()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._deadlines.close()
        await self.pool.close()
        self._emit.flush()
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Where it listens, in the order of listening: the API last."""
        return [address[:2] for runner in self._runners for address in runner.addresses]

    async def _listen(
        self, application: web.Application, lane: Lane | None, address: Address, *listeners: socket.socket
    ) -> None:
        """On `listeners` if there are any, else on a socket of its own."""
        runner = await serving(application, lane, self._config.limits)
        self._runners.append(runner)
        for listener in listeners:
            await web.SockSite(runner, listener, backlog=_BACKLOG).start()
        if not listeners:
            await listen(runner, address)

    def snapshot(self) -> Snapshot:
        """All that was counted so far."""
        self._emit.flush()
        return self._metrics.snapshot()

    async def _publish(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            self._emit.flush()

    def _spawn(self, name: str, work: "asyncio._CoroutineLike[None]") -> None:
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(self._ended)
        self._tasks.append(task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Background work never ends by itself; if it does, somebody has to hear of it."""
        if not task.cancelled() and (error := task.exception()):
            self._emit(FaultCaught(task.get_name(), error))

    def _local_phase(self) -> Phase | None:
        """The model server's; a local model that somebody else runs is taken to be there."""
        if self._gate:
            return self._gate.phase
        return Phase.READY if self._config.local else None

    # ---- wiring

    def _build_model_server(self) -> ModelServer | None:
        local = self._config.local
        if local is None or local.url is not None or self._folder is None:
            return None
        settings = model_server_settings(local, self._config, self._folder)
        return ModelServer(settings, self._clock, self._rng, self._emit, is_ill=lambda: is_ill(self.pool.states()))

    def _build_primer(self) -> Primer | None:
        local = self._config.local
        if local is None or self.model_server is None or self._folder is None or not local.prime:
            return None
        return build_primer(local, self.model_server, self._folder, self._clock)

    def _sinks(self) -> list[Emit]:
        """Who hears of events, besides those that always do."""
        others: list[Emit] = [self._shared.tell] if self._shared else []
        if wants_drills(self._config):
            others.append(self._hear_for_drills)
        local = self._config.local
        may_rest = local is not None and local.url is None and local.standby != "hot"
        return [*others, Alarm(self._want, LOCAL, self._clock)] if may_rest else others

    def _hear_for_drills(self, event: Event) -> None:
        if self.drillmaster:
            self.drillmaster.hear(event)

    def _build_drillmaster(self) -> Drillmaster | None:
        if not wants_drills(self._config):
            return None
        tell = self._shared.tell_drill if self._shared else self._tell_drill
        return Drillmaster(self.pool, self._readiness.can_do_without, self._rng, self._clock, tell)

    def _tell_drill(self, record: Record) -> None:
        self._emit(DrillChanged(record.report(self._clock.monotonic())))

    def _leave_drill(self, master: Drillmaster) -> None:
        """That of a fleet goes on without this worker."""
        if self._shared:
            master.withdraw()
        else:
            master.stop(End.ASKED)

    def _build_timekeeper(self, master: Drillmaster) -> Timekeeper:
        owner = SoleOwner(master)
        return build_timekeeper(owner, master.has_stand_in, lambda: self._config, self._clock, self._emit)

    def _want(self) -> None:
        if self._gate:
            self._gate.want()

    def _build_pool(self) -> Pool:
        upstreams = {settings.name: Upstream(identity(settings), self._clock) for settings in self._config.upstreams}
        policies = {
            settings.name: HealthPolicy(
                settings.breaker,
                is_probed=settings.probe and upstreams[settings.name].needs_no_client,
                is_limit_learnt=settings.timeouts.first_content_seconds == "auto",
                reasoning_models=settings.reasoning_models,
            )
            for settings in self._config.upstreams
        }
        if local := self._config.local:
            whose = Identity(LOCAL, self._model_url(local))
            upstreams[LOCAL] = Upstream(whose, self._clock, is_local=True, gate=self._gate)
        return Pool(upstreams, Health(policies), self._clock, self._emit)

    def _checked(self) -> list[str]:
        """Upstreams that can be asked without a client, and want to be."""
        names = [settings.name for settings in self._config.upstreams if settings.check]
        return [name for name in names if self.pool[name].needs_no_client]

    def _model_url(self, local: LocalSettings) -> str:
        if local.url:
            return str(local.url)
        if self._folder:
            return model_url(self._folder)
        assert self._shared
        assert self._shared.model_url
        return self._shared.model_url

    def _build_applications(self) -> tuple[web.Application, Lane | None, web.Application | None]:
        """The API, the lane beside it, and the operations pages if they have an address of their own."""
        settings = self._server_settings()
        reception = Reception(settings.clients, self._clock, self._emit, self._in_flight, self._pages())
        api = routes.application(reception)
        clouds = [self.pool[upstream.name] for upstream in self._config.upstreams]
        retries = RetryBudget(self._clock.monotonic())
        means = Means(self.pool, Facilities(self._clock, self._deadlines, Budget()), self._emit, retries, self._rng)
        relay = Relay(means, self._build_router(), settings, self._draining, self._build_sampler())
        lane = Lane(reception, relay, self._deadlines) if self._config.fast_lane else None
        listing = Listing(clouds, self._public_names(), self._served_model, self._clock)
        routes.add_api(api, relay, listing, Passthrough(clouds, self._timeouts))
        api.on_response_prepare.append(self._close_if_draining)
        return api, lane, self._add_pages(api)

    def _add_pages(self, api: web.Application) -> web.Application | None:
        """Add the operations pages to the API, or give them an application of their own. Workers leave pages with an
        address of their own to the fleet: it is there once.
        """
        operations = Operations(self._readiness, self._shared.expose if self._shared else self._expose)
        if self._config.admin_listen is None:
            self._add_operations(api, operations)
            return None
        if self._shared:
            return None
        self._add_operations(separate := web.Application(), operations)
        return separate

    def _pages(self) -> frozenset[str]:
        return frozenset({*routes.OPERATIONS, DRILLS_PATH} if self._config.drills.allow else routes.OPERATIONS)

    def _add_operations(self, app: web.Application, operations: Operations) -> None:
        routes.add_operations(app, operations)
        if self.drillmaster and self._config.drills.allow:
            owner = self._shared.drills if self._shared else SoleOwner(self.drillmaster)
            page = DrillPage(owner, self.drillmaster.has_stand_in, lambda: targets(self._config))
            routes.add_drills(app, page)

    def _build_sampler(self) -> Sampler | None:
        """Where there is a model server that can be told how conversations begin."""
        local = self._config.local
        if local is None or self._gate is None or not local.prime:
            return None
        if self._shared:
            return Sampler(self._shared.note)
        return Sampler(self._primer.note) if self._primer else None

    async def _expose(self) -> tuple[bytes, str]:
        return await page(self.snapshot())

    async def _close_if_draining(self, _: web.Request, response: web.StreamResponse) -> None:
        if self._draining.is_on:
            response.force_close()
            response.headers["Connection"] = "close"

    def _build_router(self) -> Router:
        targets = {
            settings.name: Target(settings.name, settings.models, {}, prefill=settings.prefill)
            for settings in self._config.upstreams
        }
        if local := self._config.local:
            prefill: Prefill | None = local.prefill if local.url else "hotspare"
            model = served_model(local)
            targets[LOCAL] = Target(LOCAL, {}, LOSS_OF_LOCAL_MODEL, is_local=True, served_model=model, prefill=prefill)

        def route(settings: RouteSettings) -> Route:
            return Route(settings.match, tuple(targets[name] for name in settings.to), settings.resume)

        return Router([route(settings) for settings in self._config.routes], route(self._config.default_route))

    def _server_settings(self) -> ServerSettings:
        limits = self._config.limits
        return ServerSettings(
            body_bytes=limits.body_bytes,
            body_timeout_seconds=limits.body_timeout_seconds,
            deadline_seconds=limits.deadline_seconds,
            local_reserve_seconds=limits.local_reserve_seconds,
            hedges=self._config.local is not None and self._config.local.hedge,
            timeouts=self._timeouts,
            clients=tuple(Client(client.name, bytes.fromhex(client.key_sha256)) for client in self._config.clients),
        )

    def _public_names(self) -> list[str]:
        return [name for settings in self._config.upstreams for name in settings.models]

    def _served_model(self) -> str | None:
        """The local model's name while it can answer."""
        local = self._config.local
        can_answer = self._local_phase() in (Phase.READY, Phase.STANDBY)
        return served_model(local) if local and can_answer else None


async def serving(application: web.Application, lane: Lane | None, limits: LimitSettings) -> Runner:
    """A runner of the application that does not listen yet."""
    runner = Runner(
        application,
        lane,
        limits.write_timeout_seconds,
        access_log=None,
        handler_cancellation=True,
        auto_decompress=False,
        keepalive_timeout=_KEEPALIVE_SECONDS,
        lingering_time=_LINGER_SECONDS,
        max_field_size=_FIELD_BYTES,
        shutdown_timeout=limits.drain_seconds,
    )
    await runner.setup()
    return runner


async def listen(runner: Runner, address: Address) -> None:
    """Accept connections at the address. Raises AddressInUse."""
    try:
        await web.TCPSite(runner, address.host or None, address.port, backlog=_BACKLOG).start()
    except OSError as error:
        raise AddressInUse(address, error) from error


def identity(settings: UpstreamSettings) -> Identity:
    """How the proxy presents itself to an upstream."""
    return Identity(
        name=settings.name,
        base_url=str(settings.base_url),
        api_key=settings.api_key.reveal(),
        forwards_client_key=settings.takes_client_key,
        extra_fields={name: value.reveal() for name, value in settings.headers.items()},
        max_connections=settings.max_connections,
    )


def _timeouts(config: Config) -> Mapping[str, Timeouts]:
    timeouts = {settings.name: settings.timeouts.until_learnt for settings in config.upstreams}
    return {**timeouts, LOCAL: config.local.timeouts} if config.local else timeouts


async def serve(config: Config) -> None:
    """Run a proxy until SIGTERM or SIGINT, then drain. A second signal ends it at once. Raises AddressInUse."""
    hotspare = Hotspare(config)
    stopping = asyncio.Event()
    signals.install(stopping, _refuse_to_reload)
    try:
        await hotspare.start()
        announce(hotspare.addresses[-1], config)
        asyncio.get_running_loop().call_later(memory.SETTLE_SECONDS, memory.settle)
        await stopping.wait()
        _LOGGER.info("draining: waiting up to %g s for running requests", config.limits.drain_seconds)
    finally:
        with suppress(asyncio.CancelledError):
            await hotspare.stop()
    _LOGGER.info("stopped")


def _refuse_to_reload() -> None:
    _LOGGER.warning("SIGHUP changes nothing: one process cannot be replaced without a gap; set 'workers', or restart")


def announce(address: tuple[str, int], config: Config) -> None:
    """Say where clients connect, and who answers."""
    host, port = address
    order = ", then ".join(config.default_route.to)
    _LOGGER.info("serving on http://%s:%d/v1 (%s); point an OpenAI SDK's base_url there", host, port, order)
