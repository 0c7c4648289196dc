"""What goes back besides the upstream's bytes: header fields that tell the truth, and answers of our own."""

import math
import re
from typing import NamedTuple

from aiohttp import web
from aiohttp.helpers import rfc822_formatted_time
from multidict import CIMultiDict

from proxy.core.action import GiveUp
from proxy.core.candidates import Plan
from proxy.core.outcome import Kind
from proxy.errors import RequestInvalid
from proxy.server.account import Account
from proxy.telemetry.events import Result
from proxy.wire import envelope, headers
from proxy.wire.headers import Fields
from proxy.wire.http1 import ResponseHead, head_of

FAULT_MESSAGE = "The proxy failed on this request; see its log."

_DROPPED = re.compile(f"\r\n(?:{headers.STAY_HERE}):[^\r]*".encode(), re.IGNORECASE)


def answer_lines(upstream: ResponseHead, account: Account) -> bytes:
    """The header lines of an answer: the upstream's own end-to-end fields and ours, without the framing.

    `x-request-id` stays the upstream's where it has one: it is what its support asks for, and what the SDKs show.
    """
    passed = upstream.passed
    if passed is None:
        passed = _DROPPED.sub(b"", _without_nominated(upstream).block)
    lower = upstream.lower
    lines = [passed[2:], b"\r\n" if passed else b"", account.lines()]
    if b"\r\nx-request-id:" not in lower:
        lines.append(b"x-request-id: %b\r\n" % account.request_id.encode())
    if b"\r\nserver:" not in lower:
        lines.append(b"Server: hotspare\r\n")
    if b"\r\ndate:" not in lower:  # RFC 9110, section 6.6.1
        lines.append(b"Date: %b\r\n" % rfc822_formatted_time().encode())
    return b"".join(lines)


def answer_fields(upstream: Fields, account: Account) -> CIMultiDict[str]:
    """The same for an answer that aiohttp writes."""
    head = head_of(200, [(headers.as_bytes(name), headers.as_bytes(value)) for name, value in upstream])
    lines = headers.as_text(answer_lines(head, account)).split("\r\n")
    return CIMultiDict((name, value) for name, _, value in (line.partition(": ") for line in lines) if name)


def _without_nominated(head: ResponseHead) -> ResponseHead:
    """Without the fields that `Connection` names: they concern that connection only."""
    nominated = frozenset(head.tokens(b"connection")) if head.has(b"connection") else None
    if not nominated:
        return head
    return head_of(head.status, [pair for pair in head.pairs if pair[0].lower() not in nominated])


class OwnAnswer(NamedTuple):
    """An answer of our own, JSON."""

    status: int
    fields: CIMultiDict[str]
    body: bytes

    def lines(self) -> bytes:
        """Its header lines."""
        return "".join([f"{name}: {value}\r\n" for name, value in self.fields.items()]).encode()

    def as_web(self) -> web.Response:
        """For aiohttp to write."""
        return web.Response(status=self.status, headers=self.fields, body=self.body)


def error_answer(
    status: int, message: str, account: Account, *, param: str | None = None, code: str | None = None
) -> OwnAnswer:
    """An error of ours, OpenAI-shaped."""
    kind = envelope.INVALID_REQUEST if status < 500 else envelope.SERVER_ERROR
    fields = answer_fields([("Content-Type", "application/json")], account)
    return OwnAnswer(status, fields, envelope.error(message, kind=kind, param=param, code=code))


def refusal(error: RequestInvalid, account: Account) -> OwnAnswer:
    """The request cannot be served as it is."""
    return error_answer(error.status, error.message, account, param=error.param, code=error.code)


def unavailable(action: GiveUp, plan: Plan, account: Account) -> OwnAnswer:
    """Nobody is left: one 503 that says what was tried, or a 401 where all that was missing is a key."""
    account.result = Result.UNAVAILABLE
    account.tried = action.tried
    account.upstream = account.model = None
    if action.tried and all(tried.kind is Kind.NO_KEY for tried in action.tried):
        message = "No API key was sent, and every upstream wants one. Send it as 'Authorization: Bearer …'."
        return error_answer(401, message, account, code="invalid_api_key")
    answer = error_answer(503, _why_nobody(action, plan), account, code="no_upstream_available")
    answer.fields["Retry-After"] = str(math.ceil(action.retry_after_seconds))
    # The SDKs retry a 503 twice by themselves; there has to be one retry loop, and it is ours.
    answer.fields["x-should-retry"] = "false"
    return answer


def _why_nobody(action: GiveUp, plan: Plan) -> str:
    reasons = [str(tried) for tried in action.tried]
    reasons += [f"{name}: cannot do {', '.join(needs)}" for name, needs in plan.refused.items()]
    return f"No upstream can answer this request now ({'; '.join(reasons) or 'none is configured for it'})."
