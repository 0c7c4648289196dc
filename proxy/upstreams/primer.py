"""Has the model server read, while it is idle, the beginnings of the conversations that it may have to answer.

Nothing depends on it: what fails here is left, and the model reads the prompt when the request comes.
"""

import asyncio
import logging
from typing import Final, Protocol

from proxy.clock import Clock
from proxy.core.beginnings import Beginning, Beginnings
from proxy.core.outcome import Kind
from proxy.upstreams.transport import AttemptFailed, Outgoing, Transport, bounded
from proxy.wire.peek import with_model

_LOGGER = logging.getLogger("hotspare")

LOOK_SECONDS: Final = 1.0
"""As often as the model server says how busy it is."""
_PATIENCE_SECONDS: Final = 10.0
"""It only has to take the tokens in; it reads them when it has time."""


class Idler(Protocol):
    """What is needed of the model server's supervisor."""

    @property
    def is_idle(self) -> bool:
        """Whether it is ready and has nothing to do."""
        ...

    @property
    def lives(self) -> int:
        """How often it has become ready: another number is another process, which knows nothing."""
        ...


class Primer:
    """Keeps the beginnings in memory, and tells them to the server at `base_url`. They are prompt text: neither in a
    log nor in an event.
    """

    def __init__(self, server: Idler, base_url: str, model: str, clock: Clock) -> None:
        self._server = server
        self._transport = Transport(base_url, clock)
        self._model = model
        self._beginnings = Beginnings()
        self._life = 0

    def note(self, beginning: Beginning) -> None:
        """A conversation began like this."""
        self._beginnings.note(beginning)

    async def run(self) -> None:
        """Tell what is worth it until cancelled, and close."""
        try:
            while True:
                await asyncio.sleep(LOOK_SECONDS)
                await self.look()
        finally:
            await self.close()

    async def look(self) -> None:
        """Tell what is worth it, as long as the model server has nothing else to do."""
        if self._life != self._server.lives:
            self._life = self._server.lives
            self._beginnings.forget_told()
        for beginning in self._beginnings.untold():
            if self._server.is_idle and await self._tell(beginning):
                self._beginnings.told(beginning)

    async def _tell(self, beginning: Beginning) -> bool:
        """Whether it was heard. A refusal is final: asked again, it would be the same."""
        body = with_model(beginning.prompt, self._model)
        fields = [("Content-Type", "application/json"), ("x-hotspare-client", beginning.client)]
        asking = self._transport.send(Outgoing("POST", "/prime", fields, body), _PATIENCE_SECONDS)
        try:
            answer = await bounded(_PATIENCE_SECONDS, Kind.FIRST_CONTENT_TIMEOUT, asking)
        except AttemptFailed as failure:
            _LOGGER.debug("not primed: %s", failure)
            return False
        answer.close()
        _LOGGER.debug("primed with %d bytes: %d", len(beginning.prompt), answer.status)
        return answer.status < 500

    async def close(self) -> None:
        """Close every connection."""
        await self._transport.close()
