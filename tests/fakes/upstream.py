"""A real OpenAI-compatible server on loopback that fails as told.

In a test:

    async with FaultUpstream() as upstream:
        upstream.script(Behaviour.ERROR_500, Behaviour.OK)
        ...
        await upstream.wait_for(lambda u: u.hung_up == 1)

Alone, to be killed and started again on the same port: `python -m tests.fakes.upstream --port 9001 --behaviour stall`
"""

import argparse
import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from tests.fakes.answers import MODELS_PATH
from tests.fakes.behaviour import Behaviour
from tests.fakes.connection import Sent, Wire, perform, reset
from tests.fakes.faults import play
from tests.fakes.http import BadRequest, Request, read_request
from tests.fakes.steps import Call, Settings

HOST = "127.0.0.1"


@dataclass(kw_only=True, eq=False)
class FaultUpstream(Settings):
    """The server, what it is told to do and what it saw.

    How a request is answered, first match: the script, `by_model`, `rotation`, `behaviour`. A check (`GET /v1/models`)
    follows `check_behaviour` and never spends the script; None lets it follow `behaviour`.

    `rotation` is gone through request by request, again and again: with one fault in three, every third request fails.

    `sent[i]` is what was answered to `requests[i]`. `hung_up` counts requests whose client left before the end.
    """

    port: int = 0
    behaviour: Behaviour = Behaviour.OK
    check_behaviour: Behaviour | None = None
    by_model: dict[str, Behaviour] = field(default_factory=dict)
    rotation: Sequence[Behaviour] = ()

    requests: list[Request] = field(init=False, default_factory=list)
    sent: list[Sent] = field(init=False, default_factory=list)
    accepted: int = field(init=False, default=0)
    hung_up: int = field(init=False, default=0)

    _turn: int = field(init=False, default=0)
    _script: deque[Behaviour] = field(init=False, default_factory=deque)
    _connections: dict[asyncio.Task[Any], asyncio.StreamWriter] = field(init=False, default_factory=dict)
    _server: asyncio.Server | None = field(init=False, default=None)
    _changed: asyncio.Event = field(init=False, default_factory=asyncio.Event)

    @property
    def base_url(self) -> str:
        """What a client is configured with."""
        return f"http://{HOST}:{self.port}/v1"

    @property
    def is_listening(self) -> bool:
        """Whether it takes connections."""
        return self._server is not None

    @property
    def open_connections(self) -> int:
        """Connections that neither side has ended."""
        return len(self._connections)

    @property
    def answered(self) -> int:
        """Requests whose answer was sent whole."""
        return sum(sent.is_complete for sent in self.sent)

    def script(self, *behaviours: Behaviour) -> None:
        """Behaviours for the next requests, one each, after those scripted before."""
        self._script.extend(behaviours)

    async def wait_for(self, predicate: Callable[[Self], bool], timeout_seconds: float = 20.0) -> None:
        """Returns when the predicate holds; it is asked again whenever a count or list here changes.

        Raises TimeoutError.
        """
        async with asyncio.timeout(timeout_seconds):
            while not predicate(self):
                await self._changed.wait()

    async def start(self) -> None:
        """Listens on `port`; 0 takes a free one, and keeps it. Raises OSError if the port is taken."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Wire(self._serve), HOST, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Refuses new connections and resets those that are open, as if the process had been killed."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        for writer in self._connections.values():
            reset(writer)
        await asyncio.gather(*self._connections)

    async def restart(self) -> None:
        """Stops if need be, and listens on the same port again."""
        await self.stop()
        await self.start()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections[task] = writer
        self.accepted += 1
        self._notify()
        if self._server is None:
            reset(writer)  # accepted in the moment of stopping
        try:
            while await self._serve_one(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError, BadRequest):
            pass  # a client that breaks off or talks nonsense is no concern of the test's server
        finally:
            writer.close()
            del self._connections[task]
            self._notify()

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        request = await read_request(reader, writer)
        if request is None:
            return False
        sent = Sent(request)
        self.requests.append(request)
        self.sent.append(sent)
        self._notify()
        call = Call(request, len(self.requests), self)
        is_reusable = await self._unless_gone(perform(play(self._next_behaviour(request), call), writer, sent), writer)
        self._notify()
        return is_reusable

    def _next_behaviour(self, request: Request) -> Behaviour:
        if (request.method, request.path) == ("GET", MODELS_PATH):
            return self.check_behaviour or self.behaviour
        if self._script:
            return self._script.popleft()
        return self.by_model.get(str(request.fields().get("model"))) or self._take_turn()

    def _take_turn(self) -> Behaviour:
        if not self.rotation:
            return self.behaviour
        self._turn += 1
        return self.rotation[(self._turn - 1) % len(self.rotation)]

    async def _unless_gone(self, answering: Coroutine[Any, Any, bool], writer: asyncio.StreamWriter) -> bool:
        wire = writer.transport.get_protocol()
        assert isinstance(wire, Wire)
        answer = asyncio.ensure_future(answering)
        gone = asyncio.ensure_future(wire.gone.wait())
        try:
            await asyncio.wait({answer, gone}, return_when=asyncio.FIRST_COMPLETED)
            if answer.done() and answer.exception() is None:
                return answer.result()
            self.hung_up += self._server is not None  # or else it was `stop` that ended the connection
            return False
        finally:
            answer.cancel()
            gone.cancel()
            await asyncio.gather(answer, gone, return_exceptions=True)

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.fakes.upstream", description="An upstream that fails as told."
    )
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--behaviour", default="ok", choices=[behaviour.name.lower() for behaviour in Behaviour])
    parser.add_argument("--gap-seconds", type=float, default=0.0, help="between the events of a stream")
    parser.add_argument("--delay-seconds", type=float, default=0.5, help="before the answer of slow_first")
    return parser.parse_args()


async def _run(arguments: argparse.Namespace) -> None:
    upstream = FaultUpstream(
        port=arguments.port,
        behaviour=Behaviour[arguments.behaviour.upper()],
        gap_seconds=arguments.gap_seconds,
        delay_seconds=arguments.delay_seconds,
    )
    async with upstream:
        print(f"listening on {HOST}:{upstream.port}", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_run(_arguments()))
