"""`hotspare check` and a model server that takes its time."""

import asyncio
from types import SimpleNamespace
from typing import Any

from proxy.check import _wait_ready


async def test_check_waits_while_the_model_is_fetched() -> None:
    async def wait(_: float) -> bool:
        return server.is_ready

    server: Any = SimpleNamespace(wait=wait, is_ready=False, trouble="", facts={"model": "m"})
    asyncio.get_running_loop().call_soon(lambda: setattr(server, "is_ready", True))
    finding = await _wait_ready(server)
    assert (finding.is_fine, finding.detail) == (True, "model=m")
