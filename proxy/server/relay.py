"""The driver of failover: performs what core/failover.py decides, and tells it what came of that."""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

from aiohttp import web

from proxy.clock import Clock
from proxy.core.breaker import Permit, Refusal
from proxy.core.candidates import Need, Plan, Router
from proxy.core.failover import Action, BreakOff, Failover, GiveUp, Start
from proxy.core.health import Key
from proxy.core.outcome import Kind, Outcome
from proxy.server.account import ACCOUNT, Account
from proxy.server.attempt import OpenStream, Question, WholeAnswer, attempt
from proxy.server.body import read_json_body
from proxy.server.response import answer_fields, unavailable
from proxy.server.settings import ServerSettings
from proxy.server.stream import pump
from proxy.telemetry.events import AttemptEnded, Emit, Endpoint, Result
from proxy.upstreams.pool import Pool
from proxy.upstreams.transport import AttemptFailed
from proxy.upstreams.upstream import Call
from proxy.wire import envelope, headers
from proxy.wire.headers import Fields
from proxy.wire.peek import Peek, peek


@dataclass(frozen=True, slots=True)
class Relay:
    """Serves the completion endpoints: what can fail over."""

    pool: Pool
    router: Router
    settings: ServerSettings
    clock: Clock
    emit: Emit

    async def handle(self, request: web.Request, call_target: str) -> web.StreamResponse:
        """Answer one request, whoever does. Raises RequestInvalid."""
        account = request[ACCOUNT]
        body = await read_json_body(request, self.settings)
        seen = peek(body)
        account.is_stream = seen.is_stream
        plan = self.router.plan(seen.model, _needs(seen, account.endpoint))
        call = Call("POST", call_target, list(request.headers.items()), body)
        drive = _Drive(self, request, account, Question(call, seen.model, seen.is_stream), plan)
        return await drive.run()

    def failover(self, request: web.Request, question: Question, plan: Plan, now: float) -> tuple[Failover, float]:
        """The machine for one request, and its deadline (a monotonic instant)."""
        seconds, kind = _deadline(request.headers, self.settings)
        machine = Failover(
            plan.candidates,
            self.settings.timeouts,
            is_stream=question.is_stream,
            deadline_at=now + seconds,
            deadline_kind=kind,
            local_reserve_seconds=min(self.settings.local_reserve_seconds, seconds / 2),
        )
        return machine, now + seconds


def _needs(seen: Peek, endpoint: Endpoint) -> frozenset[Need]:
    needs = {Need(word) for word in seen.needs}
    return frozenset(needs | {Need.EMBEDDINGS} if endpoint is Endpoint.EMBEDDINGS else needs)


def _deadline(fields: Mapping[str, str], settings: ServerSettings) -> tuple[float, Kind]:
    """Ours, or the client's own where that is shorter, less a twentieth: an answer has to arrive before it hangs up."""
    patience_seconds = headers.client_timeout_seconds(fields)
    if patience_seconds is None or patience_seconds * 0.95 >= settings.deadline_seconds:
        return settings.deadline_seconds, Kind.DEADLINE
    return patience_seconds * 0.95, Kind.CLIENT_DEADLINE


@dataclass(slots=True)
class _Running:
    """The attempt under way. It ends as CLIENT_GONE unless somebody lives to say otherwise."""

    start: Start
    outcome: Outcome = field(default_factory=lambda: Outcome(Kind.CLIENT_GONE))
    upstream_request_id: str | None = None


class _Drive:
    """One request on its way."""

    def __init__(self, relay: Relay, request: web.Request, account: Account, question: Question, plan: Plan) -> None:
        self._relay = relay
        self._clock = relay.clock
        self._request = request
        self._account = account
        self._question = question
        self._plan = plan
        self._machine, self._deadline_at = relay.failover(request, question, plan, account.started_at)
        self._answer: WholeAnswer | None = None
        self._response: web.StreamResponse | None = None

    async def run(self) -> web.StreamResponse:
        """Perform actions until one of them ends the request."""
        action = self._machine.begin(self._clock.monotonic())
        while isinstance(action, Start):
            action = await self._perform(action)
        match action:
            case GiveUp():
                return unavailable(action, self._plan, self._account)
            case BreakOff(outcome):
                return await self._break_off(outcome)
            case _:
                return await self._finish()

    async def _perform(self, start: Start) -> Action:
        permit = self._relay.pool.acquire(start, self._account.endpoint)
        if isinstance(permit, Refusal):
            return self._machine.refused(permit, self._clock.monotonic())
        with self._reported(start, permit) as running:
            try:
                await self._attempt(running, permit)
            except AttemptFailed as failure:
                running.outcome = failure.outcome
        return self._machine.ended(running.outcome, self._clock.monotonic())

    async def _attempt(self, running: _Running, permit: Permit) -> None:
        start = running.start
        upstream = self._relay.pool[start.candidate.upstream]
        extra = self._fields_for_local() if upstream.is_local else []
        answer = await attempt(upstream, self._question, start, extra, self._clock)
        if isinstance(answer, WholeAnswer):
            running.outcome, self._answer = answer.outcome, answer
            running.upstream_request_id = _request_id(answer.fields)
            self._note_answer(start)
            return
        running.upstream_request_id = _request_id(answer.exchange.fields)
        with closing(answer.exchange):
            self._machine.content()
            self._relay.pool.first_content(_key(start), permit)
            running.outcome = await self._commit(start, answer)
        upstream.note(running.outcome)

    async def _commit(self, start: Start, stream: OpenStream) -> Outcome:
        """From here on the client sees what comes."""
        self._account.first_content_at = self._clock.monotonic()
        self._note_answer(start)
        self._response = web.StreamResponse(
            status=stream.exchange.status, headers=answer_fields(stream.exchange.fields, self._account)
        )
        self._account.is_committed = True
        await self._response.prepare(self._request)
        return await pump(stream, self._response.write, start.stall_seconds, self._clock)

    @contextmanager
    def _reported(self, start: Start, permit: Permit) -> Iterator[_Running]:
        """Whatever happens to the attempt, its permit goes back and its end is told, once."""
        running = _Running(start)
        began_at = self._clock.monotonic()
        try:
            yield running
        finally:
            self._account.attempts = self._machine.attempts
            self._relay.pool.report(_key(start), permit, running.outcome)
            self._relay.emit(self._attempt_ended(running, began_at))

    def _attempt_ended(self, running: _Running, began_at: float) -> AttemptEnded:
        first_at = self._account.first_content_at
        return AttemptEnded(
            request_id=self._account.request_id,
            upstream=running.start.candidate.upstream,
            number=running.start.number,
            outcome=running.outcome,
            seconds=self._clock.monotonic() - began_at,
            first_content_seconds=first_at - began_at if first_at else None,
            upstream_request_id=running.upstream_request_id,
        )

    def _note_answer(self, start: Start) -> None:
        self._account.upstream = start.candidate.upstream
        self._account.model = start.candidate.model
        self._account.losses = start.candidate.losses
        self._account.tried = tuple(self._machine.tried)
        self._account.attempts = self._machine.attempts

    def _fields_for_local(self) -> Fields:
        """For the model server's queue: whose turn it is, and until when waiting makes sense."""
        seconds_left = self._deadline_at - self._clock.monotonic()
        return [
            ("x-hotspare-client", self._account.client),
            ("x-hotspare-deadline-seconds", f"{max(seconds_left, 0.0):.3f}"),
        ]

    async def _finish(self) -> web.StreamResponse:
        if self._response is not None:
            await self._response.write_eof()
            return self._response
        assert self._answer is not None
        if self._answer.outcome.kind is Kind.CALLER_ERROR:
            self._account.result = Result.CALLER_ERROR
        return web.Response(
            status=self._answer.outcome.status or 200,
            headers=answer_fields(self._answer.fields, self._account),
            body=self._answer.body,
        )

    async def _break_off(self, outcome: Outcome) -> web.StreamResponse:
        """Say that the answer is incomplete. The connection ends well, the stream does not: no `[DONE]`.

        An upstream that broke off with an error event has said so itself.
        """
        assert self._response is not None
        self._account.result = Result.BROKEN_OFF
        if outcome.kind is not Kind.SERVER_ERROR:
            message = f"The stream from {self._account.upstream} broke off ({outcome.kind}); the answer is incomplete."
            await self._response.write(envelope.error_event(message, code="upstream_stream_broken"))
        await self._response.write_eof()
        return self._response


def _key(start: Start) -> Key:
    return Key(start.candidate.upstream, start.candidate.model)


def _request_id(fields: Fields) -> str | None:
    return next((value for name, value in fields if name.lower() == "x-request-id"), None)
