"""From a base URL to a connected socket: name, address, TCP, TLS, each timed. One limit stands over all of them."""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

import aiohappyeyeballs
from aiohappyeyeballs import AddrInfoType
from yarl import URL

from proxy.clock import Clock
from proxy.core.outcome import Kind
from proxy.core.phases import Phases

P = TypeVar("P", bound=asyncio.Protocol)

DNS_SECONDS = 10.0
"""How long an address is good for. Clouds that shift traffic by DNS use 30-60 s; getaddrinfo does not tell."""
_EYEBALLS_SECONDS = 0.25
"""After how long the next address is tried beside the first (RFC 8305, section 8)."""
_PORTS = {"http": 80, "https": 443}
_UNIX = "unix://"


@dataclass(frozen=True, slots=True)
class Site:
    """Where a base URL points. `path` is what targets are appended to; a unix socket's is /v1."""

    scheme: str
    host: str
    port: int
    path: str

    @classmethod
    def of(cls, base_url: str) -> "Site":
        """Read `http(s)://host[:port][/path]` or `unix:///path.sock`. Raises ValueError."""
        if base_url.startswith(_UNIX):
            return cls("unix", base_url.removeprefix(_UNIX), 0, "/v1")
        url = URL(base_url)
        if url.scheme not in _PORTS or not url.raw_host or not url.port:
            raise ValueError(f"no base URL: {base_url!r}")
        return cls(url.scheme, url.raw_host, url.port, URL(base_url, encoded=True).raw_path.rstrip("/"))

    @property
    def authority(self) -> str:
        """The value of Host (RFC 9110, section 7.2); the port only where it is not the scheme's own."""
        if self.scheme == "unix":
            return "local"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


@cache
def default_ssl_context() -> ssl.SSLContext:
    """Certificates and names are verified against what this machine trusts. One for all: reading that takes 40 ms."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


class Dialler:
    """Opens connections to one site."""

    def __init__(self, site: Site, clock: Clock, ssl_context: ssl.SSLContext | None = None) -> None:
        self._site = site
        self._clock = clock
        self._ssl_context = ssl_context
        if site.scheme == "https" and ssl_context is None:
            self._ssl_context = default_ssl_context()
        self._addresses = _Addresses(site, clock)

    async def dial(self, limit_seconds: float, phases: Phases, factory: Callable[[], P]) -> P:
        """Connect. Raises what `kind_of` names, within `limit_seconds`."""
        async with asyncio.timeout(limit_seconds):
            if self._site.scheme == "unix":
                return await self._dial_unix(phases, factory)
            return await self._dial_tcp(phases, factory)

    async def _dial_unix(self, phases: Phases, factory: Callable[[], P]) -> P:
        started_at = self._clock.monotonic()
        _, protocol = await asyncio.get_running_loop().create_unix_connection(factory, self._site.host)
        phases.connect = self._clock.monotonic() - started_at
        return protocol

    async def _dial_tcp(self, phases: Phases, factory: Callable[[], P]) -> P:
        addresses = await self._addresses.get(phases)
        started_at = self._clock.monotonic()
        sock = await aiohappyeyeballs.start_connection(addresses, happy_eyeballs_delay=_EYEBALLS_SECONDS)
        connected_at = self._clock.monotonic()
        phases.connect = connected_at - started_at
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            protocol = await self._agree(sock, factory)
        except BaseException:
            sock.close()
            raise
        if self._site.scheme == "https":
            phases.tls = self._clock.monotonic() - connected_at
        return protocol

    async def _agree(self, sock: socket.socket, factory: Callable[[], P]) -> P:
        is_tls = self._site.scheme == "https"
        _, protocol = await asyncio.get_running_loop().create_connection(
            factory,
            sock=sock,
            ssl=self._ssl_context if is_tls else None,
            server_hostname=self._site.host if is_tls else None,
        )
        return protocol


class _Addresses:
    """The addresses of one site, looked up when they are wanted and no longer fresh. All who wait share one look-up."""

    def __init__(self, site: Site, clock: Clock) -> None:
        self._site = site
        self._clock = clock
        self._found: Sequence[AddrInfoType] = []
        self._fresh_until = float("-inf")
        self._lookup: asyncio.Task[None] | None = None
        with suppress(ValueError):
            self._found = [_literal(ipaddress.ip_address(site.host), site.port)]
            self._fresh_until = float("inf")

    async def get(self, phases: Phases) -> Sequence[AddrInfoType]:
        """The addresses. Raises OSError or UnicodeError."""
        started_at = self._clock.monotonic()
        if started_at < self._fresh_until:
            return self._found
        if self._lookup is None:
            self._lookup = asyncio.get_running_loop().create_task(self._look_up())
            self._lookup.add_done_callback(self._looked_up)
        await asyncio.shield(self._lookup)
        phases.dns = self._clock.monotonic() - started_at
        return self._found

    async def _look_up(self) -> None:
        loop = asyncio.get_running_loop()
        self._found = await loop.getaddrinfo(self._site.host, self._site.port, type=socket.SOCK_STREAM)
        self._fresh_until = self._clock.monotonic() + DNS_SECONDS

    def _looked_up(self, task: asyncio.Task[None]) -> None:
        self._lookup = None
        if not task.cancelled():
            task.exception()  # those who wait have it; there may be nobody left


def _literal(address: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int) -> AddrInfoType:
    if address.version == 4:
        return socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (str(address), port)
    return socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (str(address), port, 0, 0)


_KINDS: tuple[tuple[type[BaseException], Kind], ...] = (
    (socket.gaierror, Kind.DNS),
    (UnicodeError, Kind.DNS),
    (ssl.SSLError, Kind.TLS),
    (TimeoutError, Kind.CONNECT_TIMEOUT),
)
"""The first match names the failure: a name that no DNS could know is UnicodeError (IDNA). A hang-up in the middle of
the handshake is no SSLError: nobody has said anything against our TLS."""


def kind_of(error: BaseException) -> Kind:
    """What a dial that raised `error` has failed at."""
    return next((kind for exception, kind in _KINDS if isinstance(error, exception)), Kind.CONNECT)
