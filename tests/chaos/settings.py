"""A proxy in fast motion: what takes ten seconds in life takes a second here, and everything in proportion."""

from tests.chaos.person import DEADLINE_SECONDS
from tests.running import MODEL

TIMEOUTS = "timeouts: {connect: 2s, first_content: 1500ms, stall: 1500ms, answer: 1500ms}"
"""Far from what a busy machine takes for an answer that is well: upstream, proxy and clients share its cores."""

PATIENT = "timeouts: {connect: 60s, first_content: 60s, stall: 60s, answer: 60s}"
"""Whoever waits for one of these has waited for nothing: for tests in which nobody has to."""

FIRM_IN_THE_MIDDLE = "timeouts: {connect: 60s, first_content: 60s, stall: 1500ms, answer: 1500ms}"
"""Whatever the machine does meanwhile, a stream has begun before it stalls."""

BLIND = "breaker: {consecutive: 999, minimum: 999}"
"""Never trips: every request meets the fault itself."""

QUICK = "breaker: {window: 3s, cooldown: 300ms, max_cooldown: 1s, ramp: 500ms}"

LASTING = "breaker: {cooldown: 60s}"
"""Once it has tripped it stays so for the rest of a test."""


def cloud(base_url: str, breaker: str = BLIND, name: str = "cloud", timeouts: str = TIMEOUTS) -> str:
    """One entry of `upstreams`."""
    return f'{{name: {name}, base_url: "{base_url}", api_key: sk-cloud, {timeouts}, {breaker}}}'


def local_at(url: str) -> str:
    """A model server that somebody else runs."""
    return f'local: {{url: "{url}", served_model: {MODEL}, prefill: hotspare}}'


def before(clouds: list[str], local: str, deadline_seconds: float = DEADLINE_SECONDS) -> str:
    """The configuration of clouds in order, and a local model behind them, for which half of the time is kept."""
    half = deadline_seconds / 2
    limits = f"limits: {{deadline: {deadline_seconds:g}s, local_reserve: {half:g}s, drain: 1s}}"
    return f"upstreams: [{', '.join(clouds)}]\n{local}\n{limits}\n"
