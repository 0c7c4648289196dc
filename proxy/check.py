"""`hotspare check`: try everything that the configuration names, and print what came of it as a table."""

import asyncio
import random
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TextIO

from proxy import signals
from proxy.app import identity
from proxy.clock import SystemClock
from proxy.config.schema import LOCAL, Config, LocalSettings, LogSettings, UpstreamSettings
from proxy.core.outcome import KeyOwner, Kind, kind_of_status
from proxy.core.standby import Standby
from proxy.spare import model_server_settings
from proxy.telemetry.events import Event, ModelServerChanged
from proxy.upstreams.local import ModelServer, summary
from proxy.upstreams.transport import AttemptFailed
from proxy.upstreams.upstream import Call, Upstream
from proxy.workers.cpus import worker_count

_UPSTREAM_SECONDS = 10.0
_GLANCE_SECONDS = 0.2
_MODEL_SECONDS = 600.0
"""Long enough for a first download of the default model on a slow line."""

_ADVICE: Mapping[Kind, str] = MappingProxyType(
    {
        Kind.DNS: "check base_url, the network and its DNS",
        Kind.CONNECT: "nobody listens there, or a firewall refuses; check host and port in base_url",
        Kind.CONNECT_TIMEOUT: "nothing answers there; check host and port in base_url, and firewalls on the way",
        Kind.TLS: "TLS failed; check http or https in base_url, the certificate's names, and whether its authority is "
        "trusted here",
        Kind.RESET: "it hangs up without an answer; check port and http or https in base_url",
        Kind.CUT: "it hangs up in the middle of an answer; check port and http or https in base_url",
        Kind.BAD_ANSWER: "what it says is not a useful answer; check base_url",
        Kind.SERVER_ERROR: "it is there, but in trouble; see its status page, and try again later",
        Kind.RATE_LIMITED: "it is there, but the account is at its limit; wait, or raise the limit",
        Kind.OUR_KEY: "api_key was refused; check it, and what it may do",
        Kind.CALLER_ERROR: "is base_url right, with its /v1?",
    }
)
"""What to do about a GET /models that ends like this."""


_STANDBY: Mapping[Standby, str] = MappingProxyType(
    {
        "hot": "loaded all the time",
        "warm": "started, and loaded at the first sign of trouble",
        "cold": "started at the first sign of trouble",
    }
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One row of the table."""

    subject: str
    what: str
    is_fine: bool
    detail: str


async def check(config: Config, out: TextIO) -> bool:
    """Check everything, print each finding as it comes; True if all is fine. SIGTERM and SIGHUP cancel it."""
    signals.end_at_once()
    all_fine = True
    _print(out, Finding("configuration", "valid", True, ", then ".join(config.default_route.to)))
    _print(out, Finding("workers", "number", True, _workers(config)))
    async for finding in _findings(config, out):
        _print(out, finding)
        all_fine &= finding.is_fine
    return all_fine


def _workers(config: Config) -> str:
    count = worker_count(config.workers)
    return f"{count} (auto: the CPUs that this process may use)" if config.workers == "auto" else str(count)


def _print(out: TextIO, finding: Finding) -> None:
    mark = "ok  " if finding.is_fine else "FAIL"
    _say(out, f"{mark}  {finding.subject:<16} {finding.what:<8} {finding.detail}")


def _say(out: TextIO, line: str) -> None:
    """Whoever has stopped reading has the exit code."""
    with suppress(BrokenPipeError):
        print(line, file=out, flush=True)


async def _findings(config: Config, out: TextIO) -> AsyncIterator[Finding]:
    for settings in config.upstreams:
        async for finding in _check_upstream(settings):
            yield finding
    if config.local and config.local.url:
        yield await _ask(Upstream(identity(_as_upstream(config.local)), SystemClock()))
    elif config.local:
        yield await _check_model(config, out)
        yield Finding(LOCAL, "standby", True, f"{config.local.standby}: {_STANDBY[config.local.standby]}")


async def _check_upstream(settings: UpstreamSettings) -> AsyncIterator[Finding]:
    if settings.base_url.scheme != "unix":
        resolved = await _resolve(settings)
        yield resolved
        if not resolved.is_fine:
            return
    yield await _ask(Upstream(identity(settings), SystemClock()))


async def _resolve(settings: UpstreamSettings) -> Finding:
    host = settings.base_url.host
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(_UPSTREAM_SECONDS):
            found = await loop.getaddrinfo(host, settings.base_url.port, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError) as error:
        reason = getattr(error, "strerror", None) or "no answer"
        return Finding(settings.name, "dns", False, f"{host}: {reason}; {_ADVICE[Kind.DNS]}")
    addresses = sorted({str(address[4][0]) for address in found})
    return Finding(settings.name, "dns", True, f"{host} is {', '.join(addresses)}")


async def _ask(upstream: Upstream) -> Finding:
    """GET /v1/models: free, and proof of connection, TLS and key. It is no proof that a model answers."""
    call = Call("GET", "/models", [], None)
    try:
        async with asyncio.timeout(_UPSTREAM_SECONDS):
            exchange = await upstream.send(call, _UPSTREAM_SECONDS)
        exchange.close()
    except AttemptFailed as failure:
        return _failure(upstream, f"{failure.outcome.kind} ({failure.outcome.detail})", failure.outcome.kind)
    except TimeoutError:
        return _failure(upstream, f"no answer within {_UPSTREAM_SECONDS:g} s", Kind.CONNECT_TIMEOUT)
    finally:
        await upstream.close()
    return _judge(upstream, exchange.status)


def _judge(upstream: Upstream, status: int) -> Finding:
    owner = KeyOwner.UPSTREAM if upstream.needs_no_client else KeyOwner.NOBODY
    kind = kind_of_status(status, owner)
    match kind:
        case Kind.OK:
            return Finding(upstream.name, "http", True, f"GET /models: {status}")
        case Kind.NO_KEY:
            detail = f"GET /models: {status}: reachable; it wants a key, which clients bring (api_key is empty)"
            return Finding(upstream.name, "http", True, detail)
        case _:
            return _failure(upstream, f"GET /models: {status}", kind)


def _failure(upstream: Upstream, what: str, kind: Kind) -> Finding:
    return Finding(upstream.name, "http", False, f"{what}; {_ADVICE[kind]}")


def _as_upstream(local: LocalSettings) -> UpstreamSettings:
    assert local.url is not None
    return UpstreamSettings(name=LOCAL, base_url=local.url, client_key="drop")


async def _check_model(config: Config, out: TextIO) -> Finding:
    """Start the model server as `serve` would, and wait until it has produced a token."""
    assert config.local is not None
    folder = Path(tempfile.mkdtemp(prefix="hotspare-check-"))
    quiet = replace(config, log=LogSettings(format="human", level="error"))
    settings = model_server_settings(replace(config.local, standby="hot"), quiet, folder)
    server = ModelServer(settings, SystemClock(), random.Random(), lambda event: _tell(event, out))
    running = asyncio.create_task(server.run())
    try:
        return await _wait_ready(server)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        shutil.rmtree(folder, ignore_errors=True)


async def _wait_ready(server: ModelServer) -> Finding:
    try:
        async with asyncio.timeout(_MODEL_SECONDS):
            while not await server.wait(_GLANCE_SECONDS):
                if server.trouble:
                    return Finding(LOCAL, "model", False, server.trouble)
                await asyncio.sleep(_GLANCE_SECONDS)  # while it fetches, the gate says no at once
    except TimeoutError:
        return Finding(LOCAL, "model", False, f"not ready within {_MODEL_SECONDS:g} s")
    return Finding(LOCAL, "model", True, summary(server.facts))


def _tell(event: Event, out: TextIO) -> None:
    if isinstance(event, ModelServerChanged):
        _say(out, f"      {LOCAL:<16} {event.phase}")
