"""Nothing in our packages blocks the event loop while requests of all kinds are served."""

import itertools
from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path

import aiohttp
import pytest
from blockbuster import BlockBuster, BlockingError, blockbuster_ctx

from proxy.config.load import load
from tests.fakes.behaviour import Behaviour
from tests.fakes.upstream import FaultUpstream
from tests.running import MODEL, QUESTION, failing_over, running_proxy

pytestmark = [pytest.mark.model, pytest.mark.slow]


async def served(session: aiohttp.ClientSession, method: str, url: str, question: dict[str, object] | None) -> int:
    async with session.request(method, url, json=question) as answer:
        with suppress(aiohttp.ClientError):  # a path that is passed on is cut where the cloud cuts it
            await answer.read()
        return answer.status


def guarded() -> AbstractContextManager[BlockBuster]:
    """Within it a blocking call of our code on a running loop is an error."""
    return blockbuster_ctx(scanned_modules=["proxy", "models"])


def round_of_requests(base_url: str) -> Iterator[tuple[str, str, dict[str, object] | None]]:
    """Method, URL and question, of every kind."""
    for path in ("/v1/models", "/v1/models/gpt-4o", "/v1/files", "/metrics", "/livez", "/readyz"):
        yield "GET", base_url.removesuffix("/v1") + path, None
    yield "POST", f"{base_url}/files", {"purpose": "x" * 500_000}
    for model, stream in itertools.product(("gpt-4o", MODEL), (False, True)):
        yield "POST", f"{base_url}/chat/completions", {**QUESTION, "stream": stream, "model": model}


async def test_requests_of_all_kinds_block_nowhere(
    upstream: FaultUpstream, local_url: str, session: aiohttp.ClientSession
) -> None:
    async with running_proxy(failing_over(upstream, local_url)) as (_, base_url):
        with guarded():  # files are only touched while the proxy starts and stops
            for behaviour in (Behaviour.OK, Behaviour.ERROR_503, Behaviour.CUT):
                upstream.behaviour = behaviour
                upstream.check_behaviour = Behaviour.OK
                answers = [await served(session, *each) for each in round_of_requests(base_url)]
                assert answers.count(500) == 0, "the proxy's own fault"
                assert answers[-4:] == [200] * 4, "the completions"


async def test_guard_sees_what_blocks(tmp_path: Path) -> None:
    """Without this the test above could pass by looking nowhere."""
    path = tmp_path / "hotspare.yaml"
    path.write_text("local: false")
    with guarded(), pytest.raises(BlockingError):
        load(path, {})
