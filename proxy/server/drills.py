"""The page that starts, shows and ends drills: POST, GET and DELETE /drills."""

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import msgspec
from aiohttp import web
from msgspec import Meta

from proxy.core.drill import MAX_SECONDS, meant
from proxy.core.drill_report import Drill, Report, Shape
from proxy.errors import HotspareError
from proxy.server.drill_owner import DrillOwner, OwnerSilent
from proxy.wire import envelope

PATH = "/drills"
_MAX_BYTES = 4096


class _Refused(HotspareError):
    """The order is not carried out."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class _Order(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a POST. Without `upstream`, the first one; `all` means all clouds. Without `model`, all of them."""

    shape: Shape
    seconds: Annotated[float, Meta(gt=0, le=MAX_SECONDS)]
    share: Annotated[float, Meta(gt=0, le=1)] = 1.0
    upstream: str | list[str] = ""
    model: str | None = None

    @property
    def names(self) -> list[str]:
        """As they were written."""
        named = [self.upstream] if isinstance(self.upstream, str) else self.upstream
        return [name for name in named if name]


class Targets(NamedTuple):
    """What can look dead: the `clouds` in order, and the local model too among all that are `known`."""

    clouds: Sequence[str]
    known: Sequence[str]


@dataclass(frozen=True, slots=True)
class DrillPage:
    """The handlers. `has_stand_in` says whether anybody could answer in place of these upstreams; `targets` what there
    is now, None where drills are not allowed.
    """

    owner: DrillOwner
    has_stand_in: Callable[[Collection[str]], bool]
    targets: Callable[[], Targets | None]

    async def start(self, request: web.Request) -> web.Response:
        """Start one. 201 with its report; 400 for an order that makes no sense, 409 if now is not the time, 503 if
        whoever owns the drills is silent.
        """
        targets = self._targets()
        try:
            return _json(await self._start(await _order(request), targets), 201)
        except _Refused as error:
            return _refusal(error.status, envelope.INVALID_REQUEST, error)
        except OwnerSilent as error:
            return _refusal(503, envelope.SERVER_ERROR, error)

    async def show(self, _: web.Request) -> web.Response:
        """The reports of the last drills, oldest first; one that runs has no `end`."""
        return await self._reports(self.owner.reports)

    async def stop(self, _: web.Request) -> web.Response:
        """End what runs, if anything does; the same answer as `show`."""
        return await self._reports(self.owner.stop)

    async def _reports(self, told: Callable[[], Awaitable[list[Report]]]) -> web.Response:
        self._targets()
        try:
            return _json({"reports": await told()})
        except OwnerSilent as error:
            return _refusal(503, envelope.SERVER_ERROR, error)

    def _targets(self) -> Targets:
        targets = self.targets()
        if targets is None:
            raise web.HTTPNotFound
        return targets

    async def _start(self, order: _Order, targets: Targets) -> Report:
        drill = _drill(order, targets)
        if not self.has_stand_in(drill.upstreams):
            raise _Refused(409, "nobody could answer in its place now; see /readyz")
        report = await self.owner.start(drill)
        if report is None:
            raise _Refused(409, "another drill runs; DELETE it first")
        return report


def _drill(order: _Order, targets: Targets) -> Drill:
    upstreams = meant(order.names, targets.clouds)
    if not upstreams:
        raise _Refused(400, "there is no upstream that could look dead")
    for name in upstreams:
        if name not in targets.known:
            raise _Refused(400, f"there is no upstream {name!r}; there are: {', '.join(targets.known)}")
    return Drill(upstreams, order.shape, order.share, order.seconds, order.model)


async def _order(request: web.Request) -> _Order:
    # A web page that somebody looks at can send a POST here, but not with this type.
    if request.content_type != "application/json":
        raise _Refused(415, "send application/json")
    try:
        return msgspec.json.decode(await request.content.read(_MAX_BYTES), type=_Order)
    except msgspec.DecodeError as error:
        raise _Refused(400, str(error)) from None


def _json(content: object, status: int = 200) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(content), content_type="application/json")


def _refusal(status: int, kind: str, error: HotspareError) -> web.Response:
    message = envelope.error(str(error), kind=kind, code="drill_refused")
    return web.Response(status=status, body=message, content_type="application/json")
