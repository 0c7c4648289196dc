"""Wherever a stream breaks, however often, and whatever whoever goes on says: the client has one good stream."""

import json
from contextlib import suppress
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.wire import sse
from proxy.wire.continuation import continued
from proxy.wire.delivered import Unstitchable
from proxy.wire.stitch import Stitch
from tests.fakes.answers import DONE
from tests.fakes.spoken import Answer, Call, Habit, Spoken
from tests.hearing import Heard, heard

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
JSONS = st.recursive(st.none() | st.booleans() | st.integers() | TEXTS, lambda inner: st.lists(inner, max_size=2))
ARGUMENTS = st.builds(
    lambda value, is_ascii: json.dumps(value, ensure_ascii=is_ascii),
    st.dictionaries(TEXTS, JSONS, max_size=2),
    st.booleans(),
)
NAMES = st.sampled_from(["weather", "time"])


REFUSALS = st.builds(lambda text: Answer(refusal=text), TEXTS)


@st.composite
def talking(draw: st.DrawFn, choice: int) -> Answer:
    """Text and calls."""
    called = draw(st.lists(st.tuples(NAMES, ARGUMENTS), max_size=2))
    return Answer(draw(TEXTS), tuple(Call(f"call_{choice}{index}", *call) for index, call in enumerate(called)))


@st.composite
def answers(draw: st.DrawFn) -> tuple[Answer, ...]:
    """One to three, of which any may be refusals; ids are never used twice."""
    count = draw(st.integers(1, 3))
    return tuple(draw(REFUSALS | talking(choice)) for choice in range(count))


def said(body: bytes, whole: tuple[Answer, ...], size: int, habit: Habit) -> list[bytes]:
    """All of a stream, event by event."""
    completion = Spoken(1, json.loads(body), True, (), "", answers=whole, size=size, habit=habit)
    events = [event for piece in completion.pieces for event in completion.piece(piece)]
    return [*completion.opening(), *events, *completion.closing(), DONE]


MANNERS = st.tuples(st.integers(1, 9), st.sampled_from([Habit.NONE, Habit.REPEATS, Habit.COUNTS_ANEW]))
"""Calls of the old kind have no ids, and nobody tells both kinds: tests/unit/wire/test_tool_calls.py has them."""
BREAKING = st.lists(st.tuples(MANNERS, st.integers(0, 60)), max_size=3)


@settings(max_examples=50)
@given(answers(), MANNERS, st.integers(1, 60), BREAKING, MANNERS)
def test_any_number_of_breaks_anywhere_gives_the_whole(
    whole: tuple[Answer, ...],
    first: tuple[int, Habit],
    until: int,
    breaking: list[tuple[tuple[int, Habit], int]],
    last: tuple[int, Habit],
) -> None:
    body = json.dumps({"model": "m", "n": len(whole)}).encode()
    stream = b"".join(said(body, whole, first[0], Habit.NONE)[:until])
    try:
        stitch = Stitch(stream, len(whole))
    except Unstitchable:
        assert all(found.ends for found in heard(stream, len(whole)))
        return
    for (size, habit), end in [*breaking, (last, None)]:
        if stitch.is_open:
            events = said(continued(body, "hotspare", stitch.hand_over()), whole, size, habit)
            stream += b"".join(stitch.take(b"".join(events[:end])))
    for answer, found in zip(whole, heard(stream, len(whole)), strict=True):
        assert (found.answer, found.ends, found.roles) == (answer, [answer.finish_reason], 1)


INDICES = st.integers(0, 3)
ENTRIES = st.fixed_dictionaries(
    {"index": INDICES},
    optional={
        "id": st.sampled_from(["call_1", "call_2", "call_3", "", None]),
        "type": st.sampled_from(["function", "custom", None]),
        "function": st.fixed_dictionaries(
            {},
            optional={
                "name": st.sampled_from(["f", "g", "", None]),
                "arguments": st.sampled_from(["", "1", "}", '{"a":', "{}", None]),
            },
        ),
    },
)
DELTAS = st.fixed_dictionaries(
    {},
    optional={
        "role": st.just("assistant"),
        "content": st.sampled_from(["", "a", None]),
        "refusal": st.sampled_from(["", "b", None]),
        "tool_calls": st.lists(ENTRIES, max_size=2) | st.none(),
    },
)
ENDS = st.sampled_from([None, None, None, "stop", "tool_calls", "length"])
ROWS = st.builds(
    lambda index, delta, end: {"index": index, "delta": delta, "finish_reason": end}, st.integers(0, 2), DELTAS, ENDS
)
CHUNKS = st.lists(st.lists(ROWS, max_size=3), max_size=8)


def event(rows: list[dict[str, Any]]) -> bytes:
    return sse.event(json.dumps({"id": "c", "choices": rows}).encode())


def known(stitch: Stitch) -> list[tuple[str, list[list[str]]] | None]:
    return [answer and (answer.text, [list(call) for call in answer.calls]) for answer in stitch.hand_over()]


def has(found: Heard) -> tuple[str, list[list[str]]]:
    return found.text or found.refusal, list(found.calls.values())


BEGUN = event(
    [
        {"index": 0, "delta": {"role": "assistant", "content": "Hi"}},
        {
            "index": 1,
            "delta": {
                "role": "assistant",
                "tool_calls": [{"index": 0, "id": "call_1", "function": {"name": "f", "arguments": '{"a": '}}],
            },
        },
        {"index": 2, "delta": {"role": "assistant", "refusal": "No"}},
    ]
)


@settings(max_examples=50)
@given(CHUNKS)
def test_what_is_known_is_what_the_client_has_whatever_is_said(chunks: list[list[dict[str, Any]]]) -> None:
    stitch, stream = Stitch(BEGUN, 3), BEGUN
    stitch.hand_over()
    for rows in chunks:
        try:
            for given_event in stitch.take(event(rows)):
                stream += given_event
        except Unstitchable:
            break
    for answer, found in zip(known(stitch), heard(stream, 3), strict=True):
        assert (answer is None) == bool(found.ends)
        assert answer in (None, has(found))


@settings(max_examples=50)
@given(CHUNKS)
def test_half_a_call_never_ends_well(chunks: list[list[dict[str, Any]]]) -> None:
    stitch, stream = Stitch(BEGUN, 3), BEGUN
    stitch.hand_over()
    try:
        for rows in chunks:
            stream += b"".join(stitch.take(event(rows)))
    except Unstitchable:
        return
    found = heard(stream, 3)[1]
    assert found.calls[0][:2] == ["call_1", "f"]
    if found.ends and found.ends[0] != "length":
        json.loads(found.calls[0][2])


@settings(max_examples=50)
@given(CHUNKS)
def test_refusal_stays_one_whatever_is_said(chunks: list[list[dict[str, Any]]]) -> None:
    stitch, stream = Stitch(BEGUN, 3), BEGUN
    stitch.hand_over()
    with suppress(Unstitchable):
        for rows in chunks:
            for given_event in stitch.take(event(rows)):
                stream += given_event
    found = heard(stream, 3)[2]
    assert (found.text, found.calls, found.refusal[:2]) == ("", {}, "No")
