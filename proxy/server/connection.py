"""One connection of a client: bytes in, to the lane where they are a plain request, else to aiohttp's parser.

aiohttp keeps what it is good at: everything odd, and everything wrong. The two never serve the same connection at the
same time: bytes that may hold more than one request, or less, make a connection aiohttp's for good.
"""

import asyncio
from contextlib import suppress
from typing import Any

from aiohttp import web

from proxy.errors import RequestInvalid
from proxy.server.account import Account
from proxy.server.drive import Drive
from proxy.server.lane import Known, Lane
from proxy.server.reply import Reply
from proxy.wire import envelope
from proxy.wire.request import Frame, frame_like, is_whole

_MESSAGE = (
    "The request is not valid HTTP, or its head is too large: a line may have 8 KiB, a header field 32 KiB, and a "
    "request 128 of them."
)

_MAX_EARLY_BYTES = 2**20
"""What a client may send ahead while its last request is being served, before it is no longer read."""


class Runner(web.AppRunner):
    """An application's runner whose connections are ClientConnections."""

    __slots__ = ("_lane", "_write_timeout_seconds")

    def __init__(
        self,
        application: web.Application,
        lane: Lane | None,
        write_timeout_seconds: float,
        **options: Any,  # noqa: ANN401 - aiohttp's own
    ) -> None:
        super().__init__(application, **options)
        self._lane = lane
        self._write_timeout_seconds = write_timeout_seconds

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        return _Server(
            self._lane,
            self._write_timeout_seconds,
            server.request_handler,
            request_factory=server.request_factory,
            loop=asyncio.get_running_loop(),
            **self._kwargs,
        )


class _Server(web.Server):
    def __init__(
        self,
        lane: Lane | None,
        write_timeout_seconds: float,
        *arguments: Any,  # noqa: ANN401 - aiohttp's own
        **options: Any,  # noqa: ANN401 - as above
    ) -> None:
        super().__init__(*arguments, **options)
        self._lane = lane
        self._write_timeout_seconds = write_timeout_seconds

    def __call__(self) -> web.RequestHandler:
        return ClientConnection(self, self._lane, self._write_timeout_seconds, loop=self._loop, **self._kwargs)


class _Arrival:
    """A plain request whose body is still coming."""

    __slots__ = ("account", "connection", "data", "frame", "known", "limit_at")

    def __init__(
        self, connection: "ClientConnection", frame: Frame, known: Known, account: Account, data: bytes, limit_at: float
    ) -> None:
        self.connection = connection
        self.frame = frame
        self.known = known
        self.account = account
        self.data = bytearray(data)
        self.limit_at = limit_at

    def expire(self) -> None:
        """It does not come."""
        self.connection.too_slow(self)


class ClientConnection(web.RequestHandler):
    """See the module's text. At most one drive writes to it at a time, whichever way its request came in."""

    __slots__ = (
        "_account",
        "_arrival",
        "_drive",
        "_early",
        "_has_delegated",
        "_is_foreign",
        "_lane",
        "_last",
        "_patience",
        "_reply",
        "_served_all",
        "_write_timeout_seconds",
    )

    def __init__(
        self,
        manager: web.Server,
        lane: Lane | None,
        write_timeout_seconds: float,
        **options: Any,  # noqa: ANN401 - aiohttp's own
    ) -> None:
        super().__init__(manager, **options)
        self._lane = lane
        self._write_timeout_seconds = write_timeout_seconds
        self._patience: asyncio.TimerHandle | None = None
        """With a client that does not read."""
        self._is_foreign = lane is None
        self._has_delegated = False
        self._drive: Drive | None = None
        self._account: Account | None = None
        """Of the request that the lane is serving."""
        self._reply: Reply | None = None
        self._arrival: _Arrival | None = None
        self._early = b""
        self._last: tuple[Frame, Known] | None = None
        self._served_all: asyncio.Future[None] | None = None

    # ---- bytes in

    def data_received(self, data: bytes) -> None:
        """Serve a plain request; give everything else to aiohttp."""
        if self._is_foreign:
            super().data_received(data)
        elif self._account is not None:
            self._keep_early(data)
        elif self._arrival is not None:
            self._arrive(self._arrival, data)
        else:
            self._serve(data)

    def _serve(self, data: bytes) -> None:
        """Serve the requests in `data`, one after the other; keep what has to wait."""
        while data and self._account is None and self._arrival is None and self.transport is not None:
            data = self._delegate(data) if self._is_foreign else self._serve_first(data)
        self._early = data

    def _serve_first(self, data: bytes) -> bytes:
        """Serve the request that `data` begins with; give back what comes after it."""
        assert self._lane is not None
        found = self._find(self._lane, data) if self._is_aiohttp_idle() else None
        if found is None:
            return self._delegate(data)
        frame, known = found
        if frame.end > len(data):
            self._await_body(frame, known, data)
            return b""
        self._begin(self._lane, known, self._lane.open(known), data[frame.body_at : frame.end])
        return data[frame.end :] if frame.end < len(data) else b""

    def _find(self, lane: Lane, data: bytes) -> tuple[Frame, Known] | None:
        """Mostly it is the same head as last time, which takes two comparisons to see."""
        try:
            if self._last is not None:
                frame, known = self._last
                again = frame_like(frame, data)
                if again is not None and again.end - again.body_at <= lane.body_bytes:
                    return again, known
            self._last = lane.find(data)
        except Exception as error:  # noqa: BLE001 - the boundary: aiohttp serves what the lane fails to read, or says 500
            lane.stumbled(error)
            self._last = None
        return self._last

    def _begin(self, lane: Lane, known: Known, account: Account, body: bytes) -> None:
        assert self.transport is not None
        self._account = account
        self._reply = reply = Reply(self.transport, closes=lane.draining.is_on)
        try:
            drive = lane.drive(known, body, account, reply, self._served)
        except RequestInvalid as error:
            self._served(lane.refuse(account, error, reply))
        except Exception as error:  # noqa: BLE001 - the boundary: nobody above a callback would answer the client
            self._served(lane.fault(account, error, reply))
        else:
            self.carry(drive)
            drive.begin()

    def _served(self, status: int) -> None:
        """The lane's request is over."""
        assert self._lane is not None
        assert self._account is not None
        assert self._reply is not None
        self._lane.close(self._account, status)
        self._account = self._drive = None
        self._next_keepalive_close_time = self._loop.time() + self.keepalive_timeout
        if self._served_all is not None and not self._served_all.done():
            self._served_all.set_result(None)
        if self._reply.closes:
            self.force_close()
        elif self._early:
            early, self._early = self._early, b""
            if self.transport is not None:
                self.transport.resume_reading()
            self._serve(early)

    def _keep_early(self, data: bytes) -> None:
        """A client may send its next request before it has the answer to the last (RFC 9112, section 9.3.2)."""
        self._early += data
        if len(self._early) > _MAX_EARLY_BYTES and self.transport is not None:
            self.transport.pause_reading()

    # ---- a body that takes its time

    def _await_body(self, frame: Frame, known: Known, data: bytes) -> None:
        assert self._lane is not None
        account = self._lane.open(known)
        limit_at = account.started_at + self._lane.body_timeout_seconds
        self._arrival = _Arrival(self, frame, known, account, data, limit_at)
        self._lane.deadlines.watch(self._arrival)

    def _arrive(self, arrival: _Arrival, data: bytes) -> None:
        arrival.data += data
        frame = arrival.frame
        if len(arrival.data) < frame.end or self._lane is None:
            return
        self._forget_arrival()
        data = bytes(arrival.data)
        self._begin(self._lane, arrival.known, arrival.account, data[frame.body_at : frame.end])
        self._serve(data[frame.end :])

    def too_slow(self, arrival: _Arrival) -> None:
        """The body has not come in time."""
        if self._lane is None or self.transport is None:
            return
        self._arrival = None
        self._account = arrival.account
        self._reply = Reply(self.transport, closes=True)
        self._served(self._lane.refuse(self._account, self._lane.too_slow(), self._reply))

    def _forget_arrival(self) -> None:
        if self._arrival is not None and self._lane is not None:
            self._lane.deadlines.forget(self._arrival)
            self._arrival = None

    # ---- aiohttp's share

    def carry(self, drive: Drive | None) -> None:
        """From now on it is this drive that writes to the connection."""
        self._drive = drive
        if drive is not None and self._paused:  # the client has not read the answer before this one
            drive.pause()

    def _is_aiohttp_idle(self) -> bool:
        """Whether aiohttp has answered all that it was given."""
        if not self._has_delegated:
            return True
        return self._waiter is not None and not self._waiter.done() and not self._messages

    def _delegate(self, data: bytes) -> bytes:
        """Give everything to aiohttp. Nothing is left."""
        self._is_foreign = self._is_foreign or not self._is_aiohttp_idle() or not is_whole(data)
        self._has_delegated = True
        super().data_received(data)
        return b""

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer in OpenAI's shape. The bytes at fault, which aiohttp puts into `exc` and `message`, may be a key or a
        prompt: they go neither into the answer nor into the log.
        """
        if status >= 500 or request.writer.output_size > 0:
            return super().handle_error(request, status, exc, message)
        body = envelope.error(_MESSAGE, kind=envelope.INVALID_REQUEST, code="bad_http")
        response = web.Response(status=status, body=body, content_type="application/json")
        response.force_close()
        return response

    # ---- the connection's life

    def pause_writing(self) -> None:
        """The client does not read."""
        super().pause_writing()
        self._be_patient()
        if self._drive is not None:
            self._drive.pause()

    def resume_writing(self) -> None:
        """The client reads again."""
        super().resume_writing()
        self._forget_patience()
        if self._drive is not None:
            self._drive.resume()

    def _be_patient(self) -> None:
        if self.transport is not None:
            unread_bytes = self.transport.get_write_buffer_size()
            self._patience = self._loop.call_later(self._write_timeout_seconds, self._look_at_reader, unread_bytes)

    def _look_at_reader(self, unread_bytes: int) -> None:
        """A slow reader is waited for, one that does not read at all is not."""
        if self.transport is None:
            return
        if self.transport.get_write_buffer_size() < unread_bytes:
            self._be_patient()
        else:
            self.transport.abort()

    def _forget_patience(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def connection_lost(self, exc: BaseException | None) -> None:
        """The client has left."""
        if self._arrival is not None and self._lane is not None:
            self._lane.gone(self._arrival.account)
        self._forget_arrival()
        self._forget_patience()
        self._early = b""
        if self._drive is not None and self._account is not None:
            self._drive.client_gone()
        elif self._account is not None and self._lane is not None:  # it could not even be told of a mistake of ours
            self._lane.gone(self._account)
        super().connection_lost(exc)

    def _process_keepalive(self) -> None:
        """For aiohttp a connection that the lane works on looks idle."""
        if self._account is not None or self._arrival is not None:
            self._next_keepalive_close_time = self._loop.time() + self.keepalive_timeout
        super()._process_keepalive()

    def close(self) -> None:
        """Close when what is being served is done."""
        if self._account is None or self._reply is None:
            super().close()
        else:
            self._reply.closes = True

    async def shutdown(self, timeout: float | None = 15.0) -> None:
        """Let the request that is being served end; past the limit, cut it."""
        if self._account is not None:
            self._served_all = self._loop.create_future()
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self._served_all
        if self._account is not None and self._drive is not None:
            self._drive.client_gone()
        await super().shutdown(timeout)
