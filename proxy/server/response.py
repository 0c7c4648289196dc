"""What goes back besides the upstream's bytes: our header fields, and the one error when nobody is left."""

import math

from aiohttp import web
from multidict import CIMultiDict

from proxy.core.candidates import Plan
from proxy.core.failover import GiveUp
from proxy.core.outcome import Kind
from proxy.server.account import Account
from proxy.telemetry.events import Result
from proxy.wire import envelope, headers
from proxy.wire.headers import Fields

_JSON = "application/json"
_REFRAMED = frozenset({"content-length"})


def answer_fields(upstream_fields: Fields, account: Account) -> CIMultiDict[str]:
    """The answer's own end-to-end fields and ours.

    `x-request-id` stays the upstream's where it has one: it is what its support asks for, and what the SDKs show.
    """
    fields = CIMultiDict(headers.without(headers.end_to_end(upstream_fields), _REFRAMED))
    fields.update(account.headers())
    fields.setdefault("x-request-id", account.request_id)
    fields.setdefault("Server", "hotspare")
    fields["Via"] = headers.VIA
    return fields


def error_response(
    status: int, message: str, account: Account, *, param: str | None = None, code: str | None = None
) -> web.Response:
    """An error of ours, OpenAI-shaped."""
    kind = envelope.INVALID_REQUEST if status < 500 else envelope.SERVER_ERROR
    body = envelope.error(message, kind=kind, param=param, code=code)
    return web.Response(status=status, headers=answer_fields([], account), body=body, content_type=_JSON)


def unavailable(action: GiveUp, plan: Plan, account: Account) -> web.Response:
    """Nobody is left: one 503 that says what was tried, or a 401 where all that was missing is a key."""
    account.result = Result.UNAVAILABLE
    account.tried = action.tried
    account.upstream = account.model = None
    if action.tried and all(tried.kind is Kind.NO_KEY for tried in action.tried):
        message = "No API key was sent, and every upstream wants one. Send it as 'Authorization: Bearer …'."
        return error_response(401, message, account, code="invalid_api_key")
    response = error_response(503, _why_nobody(action, plan), account, code="no_upstream_available")
    response.headers["Retry-After"] = str(math.ceil(action.retry_after_seconds))
    # The SDKs retry a 503 twice by themselves; there has to be one retry loop, and it is ours.
    response.headers["x-should-retry"] = "false"
    return response


def _why_nobody(action: GiveUp, plan: Plan) -> str:
    reasons = [str(tried) for tried in action.tried]
    reasons += [f"{name}: cannot do {', '.join(needs)}" for name, needs in plan.refused.items()]
    return f"No upstream can answer this request now ({'; '.join(reasons) or 'none is configured for it'})."
