"""Where drills are ordered: the running proxy's /drills."""

from typing import Any

import aiohttp
import msgspec

from proxy.core.drill_report import Report
from proxy.drill.options import Options
from proxy.errors import HotspareError

_TIMEOUT = aiohttp.ClientTimeout(total=10)


class DrillRefused(HotspareError):
    """The proxy does not do as it is told, or is not there."""


class _Reports(msgspec.Struct):
    reports: list[Report]


class _Error(msgspec.Struct):
    message: str


class _Refusal(msgspec.Struct):
    error: _Error


class Desk:
    """One proxy's. All raise DrillRefused."""

    def __init__(self, session: aiohttp.ClientSession, admin: str) -> None:
        self._session = session
        self._url = f"{admin}/drills"

    async def start(self, options: Options) -> Report:
        """Begin a drill."""
        order = {
            "shape": options.shape,
            "share": options.share,
            "seconds": options.seconds,
            "upstream": options.upstreams,
            "model": options.only_model,
        }
        return msgspec.json.decode(await self._ask("POST", order), type=Report)

    async def report(self, number: int) -> Report:
        """How the drill of that number goes."""
        return _of(number, await self._ask("GET"))

    async def stop(self, number: int) -> Report:
        """End what runs; how the drill of that number went."""
        return _of(number, await self._ask("DELETE"))

    async def _ask(self, method: str, order: dict[str, Any] | None = None) -> bytes:
        try:
            async with self._session.request(method, self._url, timeout=_TIMEOUT, json=order) as answer:
                body = await answer.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise DrillRefused(f"{self._url} does not answer: {type(error).__name__}; is the proxy there?") from None
        if answer.status == 404:
            raise DrillRefused(f"{self._url} is not there; say `drills: {{allow: true}}` in the proxy's configuration")
        if answer.status >= 400:
            raise DrillRefused(f"the proxy refuses ({answer.status}): {_message(body)}")
        return body


def _of(number: int, body: bytes) -> Report:
    found = [report for report in msgspec.json.decode(body, type=_Reports).reports if report.number == number]
    if not found:
        raise DrillRefused("the proxy knows nothing of the drill any more; it was started anew")
    return found[0]


def _message(body: bytes) -> str:
    try:
        return msgspec.json.decode(body, type=_Refusal).error.message
    except msgspec.DecodeError:
        return body[:200].decode("utf-8", "replace")
