"""How to get at any of the servers: started if need be, its model known, and past its first request."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tests.bench.serving import server as servers
from tests.bench.serving.client import Caller, Question, calling
from tests.bench.serving.prompt import PROBES, Kind, Scale, conversations
from tests.bench.serving.server import Server
from tests.bench.target import NotServing

# The first decode of a process builds its graphs. Any server in use is past that; what it has cached is another matter,
# and so this has nothing in common with the prompts that are measured.
_FIRST = Question([{"role": "user", "content": "Hello!"}], output_tokens=4)


@dataclass(frozen=True, slots=True)
class Access:
    """What holds for all servers. Without a model each is asked for its first; without a key none is sent."""

    model: str | None = None
    key: str | None = None
    start_timeout_seconds: float = 120.0
    answer_timeout_seconds: float = 600.0

    @asynccontextmanager
    async def to(self, server: Server, clients: int) -> AsyncIterator[Caller]:
        """A caller of the server, which has answered a short request. Raises NotServing."""
        async with (
            servers.running(server, clients, self.start_timeout_seconds) as url,
            calling(url, self.model, self.key, self.answer_timeout_seconds) as caller,
        ):
            first = await caller.ask(_FIRST)
            if first.fault:
                raise NotServing(f"{server.name} does not answer: {first.fault}")
            yield caller

    async def scale(self, server: Server, seed: str) -> Scale | None:
        """How long prompts get with its model; None if its usage does not tell. Raises NotServing."""
        async with self.to(server, clients=1) as caller:
            questions = [
                Question(conversations(Kind.DISJOINT, size, 1, f"{seed}/probe", str(number))[0], output_tokens=1)
                for number, size in enumerate(PROBES)
            ]
            tokens = [(await caller.ask(question)).prompt_tokens for question in questions]
        try:
            return Scale.measured(tokens)
        except ValueError:
            return None
