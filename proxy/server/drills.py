"""The page that starts, shows and ends drills: POST, GET and DELETE /drills."""

from collections.abc import Sequence
from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import Meta

from proxy.core.drill import MAX_SECONDS
from proxy.core.drill_report import Drill, End, Report, Shape
from proxy.errors import HotspareError
from proxy.server.drillmaster import Drillmaster
from proxy.wire import envelope

PATH = "/drills"
_MAX_BYTES = 4096


class _Refused(HotspareError):
    """The order is not carried out."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class _Order(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a POST. Without `upstream`, the first one."""

    shape: Shape
    seconds: Annotated[float, Meta(gt=0, le=MAX_SECONDS)]
    share: Annotated[float, Meta(gt=0, le=1)] = 1.0
    upstream: str = ""


class DrillPage:
    """The handlers. `clouds` are the upstreams that can look dead."""

    def __init__(self, master: Drillmaster, clouds: Sequence[str]) -> None:
        self._master = master
        self._clouds = clouds

    async def start(self, request: web.Request) -> web.Response:
        """Start one. 201 with its report; 400 for an order that makes no sense, 409 if now is not the time."""
        try:
            return _json(self._start(await _order(request)), 201)
        except _Refused as error:
            message = envelope.error(str(error), kind=envelope.INVALID_REQUEST, code="drill_refused")
            return web.Response(status=error.status, body=message, content_type="application/json")

    async def show(self, _: web.Request) -> web.Response:
        """The reports of the last drills, oldest first; one that runs has no `end`."""
        return _json({"reports": self._master.reports()})

    async def stop(self, request: web.Request) -> web.Response:
        """End what runs, if anything does; the same answer as `show`."""
        self._master.stop(End.ASKED)
        return await self.show(request)

    def _start(self, order: _Order) -> Report:
        drill = self._drill(order)
        if not self._master.has_stand_in(drill.upstream):
            raise _Refused(409, "nobody could answer in its place now; see /readyz")
        report = self._master.start(drill)
        if report is None:
            raise _Refused(409, "another drill runs; DELETE it first")
        return report

    def _drill(self, order: _Order) -> Drill:
        if not self._clouds:
            raise _Refused(400, "there is no upstream that could look dead")
        name = order.upstream or self._clouds[0]
        if name not in self._clouds:
            raise _Refused(400, f"there is no upstream {name!r}; there are: {', '.join(self._clouds)}")
        return Drill(name, order.shape, order.share, order.seconds)


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
