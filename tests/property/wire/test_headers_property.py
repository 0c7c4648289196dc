"""Header fields from anywhere."""

from hypothesis import given
from hypothesis import strategies as st

from proxy.wire import headers

NAMES = st.sampled_from(["Connection", "X-A", "x-b", "TE", "Accept", "Keep-Alive", "Set-Cookie"])
FIELDS = st.lists(st.tuples(NAMES, st.sampled_from(["x-a", "X-B, close", "keep-alive", "1", ""])), max_size=8)
DATES = st.lists(
    st.sampled_from(
        ["Wed,", "21", "99", "Oct", "2015", "99999", "07:28:00", "07:99", "GMT", "-0000", "+9999", "-1", ","]
    )
).map(" ".join)


@given(FIELDS)
def test_passing_twice_is_passing_once(fields: list[tuple[str, str]]) -> None:
    passed = headers.end_to_end(fields)
    assert headers.end_to_end(passed) == passed


@given(FIELDS)
def test_what_passes_is_what_came_in_the_same_order(fields: list[tuple[str, str]]) -> None:
    waiting = iter(fields)
    assert all(field in waiting for field in headers.end_to_end(fields))


@given(st.text() | DATES, st.floats(0, 4e9))
def test_any_retry_after_is_a_time_from_now_or_nothing(text: str, wall: float) -> None:
    seconds = headers.retry_after_seconds({"Retry-After": text}, wall)
    assert seconds is None or 0 <= seconds < 1e12


@given(st.text())
def test_any_authorization_is_read(text: str) -> None:
    assert isinstance(headers.is_placeholder(text), bool)
    assert headers.bearer(text) == headers.bearer(text).strip()
