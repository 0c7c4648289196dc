"""The shapes of failure, and whose words a client reads in each, streaming and not."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from tests.chaos.person import Person, Source
from tests.fakes.behaviour import Behaviour

CLOUD, LOCAL, BOTH = Source.CLOUD, Source.LOCAL, Source.BOTH


class Expected(NamedTuple):
    """Whose answer it is."""

    streamed: Source
    whole: Source

    def of(self, person: Person) -> Source:
        """What this one reads."""
        return self.streamed if person.is_streaming else self.whole


_NOBODY_NOTICES = Expected(CLOUD, CLOUD)
_BEFORE_CONTENT = Expected(LOCAL, LOCAL)
_IN_THE_MIDDLE = Expected(BOTH, LOCAL)
"""Of a stream the client has a part by then; an unstreamed answer is held until it is whole."""

SHAPES: Mapping[Behaviour, Expected] = MappingProxyType(
    {
        Behaviour.OK: _NOBODY_NOTICES,
        Behaviour.RESET: _BEFORE_CONTENT,
        Behaviour.CLOSE: _BEFORE_CONTENT,
        Behaviour.GARBAGE: _BEFORE_CONTENT,
        Behaviour.BIG_HEADERS: _BEFORE_CONTENT,
        Behaviour.HANG: _BEFORE_CONTENT,
        Behaviour.HEADERS_THEN_HANG: _BEFORE_CONTENT,
        Behaviour.ROLE_THEN_HANG: _BEFORE_CONTENT,
        Behaviour.COMMENTS_ONLY: _BEFORE_CONTENT,
        # An answer that is not streamed is silent by nature, so that it may take longer.
        Behaviour.SLOW_FIRST: Expected(streamed=LOCAL, whole=CLOUD),
        Behaviour.SLOW_TOKENS: _NOBODY_NOTICES,
        Behaviour.ERROR_500: _BEFORE_CONTENT,
        Behaviour.ERROR_500_HTML: _BEFORE_CONTENT,
        Behaviour.ERROR_502: _BEFORE_CONTENT,
        Behaviour.ERROR_502_HTML: _BEFORE_CONTENT,
        Behaviour.ERROR_503: _BEFORE_CONTENT,
        Behaviour.ERROR_504: _BEFORE_CONTENT,
        Behaviour.ERROR_529: _BEFORE_CONTENT,
        Behaviour.ERROR_530: _BEFORE_CONTENT,
        Behaviour.RATE_LIMITED_429: _BEFORE_CONTENT,
        Behaviour.RATE_LIMITED_PLAIN_429: _BEFORE_CONTENT,
        Behaviour.QUOTA_429: _BEFORE_CONTENT,
        Behaviour.UNAUTHORIZED_401: _BEFORE_CONTENT,
        Behaviour.PAYMENT_402: _BEFORE_CONTENT,
        Behaviour.FORBIDDEN_403: _BEFORE_CONTENT,
        Behaviour.HTML_200: _BEFORE_CONTENT,
        Behaviour.EMPTY_200: _BEFORE_CONTENT,
        Behaviour.BROKEN_JSON_200: _BEFORE_CONTENT,
        Behaviour.ERROR_BODY_200: _BEFORE_CONTENT,
        Behaviour.TRUNCATED_200: _IN_THE_MIDDLE,
        Behaviour.LENGTH_TOO_LONG: Expected(CLOUD, LOCAL),  # a stream has said by then that it is complete
        Behaviour.LENGTH_TOO_SHORT: _IN_THE_MIDDLE,
        Behaviour.STALL: _IN_THE_MIDDLE,
        Behaviour.CUT: _IN_THE_MIDDLE,
        Behaviour.CUT_RESET: _IN_THE_MIDDLE,
        Behaviour.CUT_MID_EVENT: _IN_THE_MIDDLE,
        Behaviour.CUT_MID_UTF8: _IN_THE_MIDDLE,
        Behaviour.NO_FINISH: _IN_THE_MIDDLE,
        Behaviour.NO_DONE: _NOBODY_NOTICES,
        Behaviour.BAD_EVENT: _IN_THE_MIDDLE,
        Behaviour.ERROR_MIDSTREAM: _IN_THE_MIDDLE,
    }
)

SILENT = (
    Behaviour.HANG,
    Behaviour.HEADERS_THEN_HANG,
    Behaviour.ROLE_THEN_HANG,
    Behaviour.COMMENTS_ONLY,
)
"""No failures before somebody has waited for long enough."""

CALLERS = (
    Behaviour.BAD_REQUEST_400,
    Behaviour.CONTEXT_LENGTH_400,
    Behaviour.NOT_FOUND_404,
    Behaviour.UNPROCESSABLE_422,
)
"""No failures of the cloud's."""
