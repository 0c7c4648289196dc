"""The composition root: the only file that knows every room. From a Config to a running proxy, and down again."""

import asyncio
import logging
import random
import shutil
import signal
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from aiohttp import web

import proxy
from proxy.clock import Clock, SystemClock
from proxy.config.schema import LOCAL, Config, LocalSettings, RouteSettings, UpstreamSettings
from proxy.config.value import Address
from proxy.core.candidates import LOSS_OF_LOCAL_MODEL, Route, Router, Target
from proxy.core.failover import Timeouts
from proxy.core.health import Health, HealthPolicy
from proxy.errors import HotspareError
from proxy.server import routes
from proxy.server.listing import Listing
from proxy.server.middleware import InFlight, Reception
from proxy.server.operations import Operations, Readiness
from proxy.server.passthrough import Passthrough
from proxy.server.protocol import Runner
from proxy.server.relay import Relay
from proxy.server.settings import Client, ServerSettings
from proxy.telemetry import log
from proxy.telemetry.events import FaultCaught, Phase, fan_out
from proxy.telemetry.metrics import Metrics
from proxy.upstreams.local import ModelServer, ModelServerSettings
from proxy.upstreams.pool import Pool
from proxy.upstreams.probe import Prober
from proxy.upstreams.upstream import Identity, Upstream

_LOGGER = logging.getLogger("hotspare")
_KEEPALIVE_SECONDS = 75.0
_LINGER_SECONDS = 2.0
_FIELD_BYTES = 32 * 1024
_SOCKET = "model.sock"


class AddressInUse(HotspareError):
    """The proxy cannot listen where it should."""


class Hotspare:
    """A whole proxy. `start` it, then `stop` it; both once, on the same event loop."""

    def __init__(self, config: Config, *, clock: Clock | None = None, rng: random.Random | None = None) -> None:
        self._config = config
        self._clock = clock or SystemClock()
        self._rng = rng or random.Random()
        self._metrics = Metrics(proxy.__version__)
        self._emit = fan_out(self._metrics, log.LogSink())
        self._folder = Path(tempfile.mkdtemp(prefix="hotspare-"))
        self.model_server = self._build_model_server()
        self._timeouts = _timeouts(config)
        self._pool = self._build_pool()
        self._in_flight = InFlight()
        self._readiness = Readiness(
            self._pool.states,
            self._local_phase,
            lambda: self.model_server.trouble if self.model_server else "",
            frozenset(upstream.name for upstream in config.upstreams),
        )
        self._metrics.watch(lambda: self._in_flight.count, self._pool.states)
        self._runners: list[Runner] = []
        self._tasks: list[asyncio.Task[None]] = []

    # ---- life

    async def start(self) -> None:
        """Listen, and start what works in the background. Raises AddressInUse."""
        api, operations = self._build_applications()
        await self._listen(operations or api, self._config.admin_listen or self._config.listen)
        if operations:
            await self._listen(api, self._config.listen)
        self._spawn("prober", Prober(self._pool, self._timeouts, self._clock, self._emit).run())
        if self.model_server:
            self._spawn("supervisor", self.model_server.run())

    async def stop(self) -> None:
        """Drain and end: readiness off, no new connections, running requests finished up to the limit."""
        self._readiness.is_draining = True
        for runner in reversed(self._runners):  # the operations pages go last
            await runner.cleanup()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._pool.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Where it listens, in the order of listening: the API last."""
        return [address[:2] for runner in self._runners for address in runner.addresses]

    async def _listen(self, application: web.Application, address: Address) -> None:
        runner = Runner(
            application,
            access_log=None,
            handler_cancellation=True,
            auto_decompress=False,
            keepalive_timeout=_KEEPALIVE_SECONDS,
            lingering_time=_LINGER_SECONDS,
            max_field_size=_FIELD_BYTES,
            shutdown_timeout=self._config.limits.drain_seconds,
        )
        await runner.setup()
        self._runners.append(runner)
        try:
            await web.TCPSite(runner, address.host or None, address.port, backlog=1024).start()
        except OSError as error:
            message = f"cannot listen on {address}: {error.strerror}; stop what uses it, or change 'listen'"
            raise AddressInUse(message) from error

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
        if self.model_server:
            return self.model_server.phase
        return Phase.READY if self._config.local else None

    # ---- wiring

    def _build_model_server(self) -> ModelServer | None:
        local = self._config.local
        if local is None or local.url is not None:
            return None
        settings = model_server_settings(local, self._config, self._folder)
        return ModelServer(settings, self._clock, self._rng, self._emit)

    def _build_pool(self) -> Pool:
        upstreams = {settings.name: Upstream(identity(settings)) for settings in self._config.upstreams}
        policies = {
            settings.name: HealthPolicy(settings.breaker, settings.probe and upstreams[settings.name].needs_no_client)
            for settings in self._config.upstreams
        }
        if local := self._config.local:
            url = str(local.url) if local.url else f"unix://{self._folder / _SOCKET}"
            upstreams[LOCAL] = Upstream(Identity(LOCAL, url), is_local=True, gate=self.model_server)
        return Pool(upstreams, Health(policies), self._clock, self._emit)

    def _build_applications(self) -> tuple[web.Application, web.Application | None]:
        """The API, and the operations pages if they have an address of their own."""
        settings = self._server_settings()
        pages = frozenset(routes.OPERATIONS)
        api = routes.application(Reception(settings.clients, self._clock, self._emit, self._in_flight, pages))
        clouds = [self._pool[upstream.name] for upstream in self._config.upstreams]
        relay = Relay(self._pool, self._build_router(), settings, self._clock, self._emit)
        listing = Listing(clouds, self._public_names(), self._served_model, self._clock)
        routes.add_api(api, relay, listing, Passthrough(clouds, self._timeouts))
        separate = web.Application() if self._config.admin_listen else None
        routes.add_operations(separate or api, Operations(self._readiness, self._metrics.expose))
        return api, separate

    def _build_router(self) -> Router:
        targets = {settings.name: Target(settings.name, settings.models, {}) for settings in self._config.upstreams}
        if local := self._config.local:
            targets[LOCAL] = Target(LOCAL, {}, LOSS_OF_LOCAL_MODEL, is_local=True, served_model=_served_model(local))

        def route(settings: RouteSettings) -> Route:
            return Route(settings.match, tuple(targets[name] for name in settings.to))

        return Router([route(settings) for settings in self._config.routes], route(self._config.default_route))

    def _server_settings(self) -> ServerSettings:
        limits = self._config.limits
        return ServerSettings(
            body_bytes=limits.body_bytes,
            body_timeout_seconds=limits.body_timeout_seconds,
            deadline_seconds=limits.deadline_seconds,
            local_reserve_seconds=limits.local_reserve_seconds,
            timeouts=self._timeouts,
            clients=tuple(Client(client.name, bytes.fromhex(client.key_sha256)) for client in self._config.clients),
        )

    def _public_names(self) -> list[str]:
        return [name for settings in self._config.upstreams for name in settings.models]

    def _served_model(self) -> str | None:
        """The local model's name while it can answer."""
        local = self._config.local
        return _served_model(local) if local and self._local_phase() is Phase.READY else None


def identity(settings: UpstreamSettings) -> Identity:
    """How the proxy presents itself to an upstream."""
    return Identity(
        name=settings.name,
        base_url=str(settings.base_url),
        api_key=settings.api_key.reveal(),
        forwards_client_key=settings.takes_client_key,
        extra_fields={name: value.reveal() for name, value in settings.headers.items()},
    )


def _timeouts(config: Config) -> Mapping[str, Timeouts]:
    timeouts = {settings.name: settings.timeouts for settings in config.upstreams}
    return {**timeouts, LOCAL: config.local.timeouts} if config.local else timeouts


def _served_model(local: LocalSettings) -> str:
    """The name that the local server answers to: as configured, or the stem of the file."""
    if local.served_model:
        return local.served_model
    return Path(local.model).stem if local.model.endswith(".gguf") or "/" in local.model else local.model


def model_server_settings(local: LocalSettings, config: Config, folder: Path) -> ModelServerSettings:
    """How the model server is started; its socket lies in `folder`."""
    return ModelServerSettings(
        arguments=_model_server_arguments(local, config),
        socket=str(folder / _SOCKET),
        heartbeat_seconds=local.heartbeat_seconds,
        hang_seconds=local.hang_seconds,
    )


def _model_server_arguments(local: LocalSettings, config: Config) -> tuple[str, ...]:
    options = {
        "--model": local.model,
        "--context": local.context,
        "--threads": local.threads,
        "--gpu-layers": local.gpu_layers,
        "--queue": local.queue,
        "--log-level": config.log.level,
        "--log-format": log.resolved(config.log.format),
    }
    flags = [] if local.pull else ["--no-pull"]
    return (*(str(part) for option in options.items() for part in option), *flags)


async def serve(config: Config) -> None:
    """Run a proxy until SIGTERM or SIGINT, then drain. A second signal ends it at once. Raises AddressInUse."""
    hotspare = Hotspare(config)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _request_stop, stopping, asyncio.current_task())
    try:
        await hotspare.start()
        _announce(hotspare, config)
        await stopping.wait()
        _LOGGER.info("draining: waiting up to %g s for running requests", config.limits.drain_seconds)
    finally:
        with suppress(asyncio.CancelledError):
            await hotspare.stop()
    _LOGGER.info("stopped")


def _request_stop(stopping: asyncio.Event, main: asyncio.Task[None] | None) -> None:
    if stopping.is_set() and main:
        main.cancel()
    stopping.set()


def _announce(hotspare: Hotspare, config: Config) -> None:
    host, port = hotspare.addresses[-1]
    order = ", then ".join(config.default_route.to)
    _LOGGER.info("serving on http://%s:%d/v1 (%s); point an OpenAI SDK's base_url there", host, port, order)
