"""The pages for operators and orchestrators: /metrics, /livez, /readyz."""

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass

import msgspec
from aiohttp import web

from proxy.core.breaker import State
from proxy.telemetry.events import Phase

Expose = Callable[[], Awaitable[tuple[bytes, str]]]
"""Gives the exposition and its content type."""


@dataclass(slots=True)
class Readiness:
    """Whether requests sent now can be answered, and what is missing.

    Ready means that somebody can answer: a cloud whose breakers are not all open, or the local model. It does not wait
    for the local model while a cloud serves: a sidecar whose llama.cpp is restarting must not take its application out
    of rotation. A spare that rests counts as there: it is woken by the first failure.
    """

    breakers: Callable[[], Mapping[str, Mapping[State, int]]]
    local_phase: Callable[[], Phase | None]
    local_trouble: Callable[[], str]
    clouds: frozenset[str]
    is_draining: bool = False

    def report(self) -> dict[str, object]:
        """What /readyz says: ready, draining, local, trouble, upstreams.

        `local` is the model server's phase, null where there is none; `trouble` is why it is not ready, for people;
        `upstreams` maps each cloud's name to "up" or "down".
        """
        states = self.breakers()
        upstreams = {name: "down" if _is_down(states[name]) else "up" for name in sorted(self.clouds)}
        phase = self.local_phase()
        can_answer = phase in _ABLE or "up" in upstreams.values()
        return {
            "ready": can_answer and not self.is_draining,
            "draining": self.is_draining,
            "local": phase,
            "trouble": self.local_trouble(),
            "upstreams": upstreams,
        }

    def can_do_without(self, upstreams: Collection[str]) -> bool:
        """Whether requests could be answered if these were gone: clouds, and the local model if it is among them."""
        states = self.breakers()
        is_local_left = self.clouds.issuperset(upstreams) and self.local_phase() in _ABLE
        return is_local_left or any(not _is_down(states[name]) for name in self.clouds.difference(upstreams))


_ABLE = (Phase.READY, Phase.STANDBY)


def _is_down(states: Mapping[State, int]) -> bool:
    return sum(states.values()) > 0 and not states.get(State.CLOSED) and not states.get(State.RAMPING)


@dataclass(frozen=True, slots=True)
class Operations:
    """The handlers."""

    readiness: Readiness
    expose: Expose

    async def metrics(self, _: web.Request) -> web.Response:
        """Prometheus's exposition."""
        body, content_type = await self.expose()
        return web.Response(body=body, headers={"Content-Type": content_type})

    async def livez(self, _: web.Request) -> web.Response:
        """The process answers: that is all a liveness probe should restart it for."""
        return web.Response(text="ok\n")

    async def readyz(self, _: web.Request) -> web.Response:
        """200 or 503, with what is missing."""
        report = self.readiness.report()
        status = 200 if report["ready"] else 503
        return web.Response(status=status, body=msgspec.json.encode(report), content_type="application/json")
