"""A stream that breaks in a tool call: what comes back continues it, byte for byte, or is refused."""

import json
from typing import Any

import pytest

from proxy.wire import sse
from proxy.wire.continuation import continued
from proxy.wire.delivered import Delivered, DeliveredCall, Unstitchable
from proxy.wire.stitch import Stitch
from tests.fakes.answers import DONE, Completion
from tests.fakes.spoken import Answer, Call, Habit, Spoken
from tests.hearing import Heard, heard

LONDON = Call("call_a", "weather", '{"city": "London", "n": 3}')
ESCAPES = Call("call_b", "note", r'{"text": "\u00e9 \"q\" \\ \ud83d\ude00\n"}')
SCRIPTS = Call("call_c", "say", '{"日本語": "テキスト", "emoji": "👩‍👩‍👧 🇫🇷", "a": [{"b": []}]}')
CODE = Call("call_d", "run", r'{"code": "def f(x):\n\treturn {\"a\": [x, \"}\"]}  # {"}')
NOTHING = Call("call_e", "now", "{}")
ANSWERS = {
    "latin": Answer("It's a test, naïve façade."),
    "cjk": Answer("日本語のテキスト、漢字とかな。"),
    "emoji": Answer("👩‍👩‍👧‍👦 🇫🇷 e\u0301 — ok"),
    "code": Answer('def f(x):\n\treturn {"a": [x, "\\n"]}  # {'),
    "json": Answer(r'{"na\u006de": "Zo\u00eb \"quoted\"", "tags": ["a", {"b": null}]}'),
    "one call": Answer("", (LONDON,)),
    "escapes": Answer("", (ESCAPES,)),
    "scripts": Answer("", (SCRIPTS,)),
    "code in a call": Answer("", (CODE,)),
    "two calls": Answer("", (LONDON, Call("call_g", "note", r'{"a": "\u00e9\""}'))),
    "no arguments": Answer("", (NOTHING, LONDON, NOTHING._replace(id="call_f"))),
    "text and calls": Answer("Look. 🌍", (Call("call_h", "say", '{"日": "👩‍👩‍👧"}'), LONDON)),
}
HABITS = [Habit.NONE, Habit.REPEATS, Habit.COUNTS_ANEW, Habit.REPEATS | Habit.COUNTS_ANEW]


def asking(**fields: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "tools": [{"type": "function"}], **fields}


def spoken(*answers: Answer, number: int = 1, habit: Habit = Habit.NONE, **fields: Any) -> Spoken:
    body = asking(n=len(answers), **fields)
    return Spoken(number, body, True, (), "", answers=answers, habit=habit)


def events(completion: Completion) -> list[bytes]:
    said = [event for piece in completion.pieces for event in completion.piece(piece)]
    return [*completion.opening(), *said, *completion.closing()]


def goes_on(stitch: Stitch, *answers: Answer, number: int = 2, habit: Habit = Habit.NONE) -> list[bytes]:
    """What a server says that is asked to."""
    body = continued(json.dumps(asking(n=len(answers))).encode(), "hotspare", stitch.hand_over())
    return events(Spoken(number, json.loads(body), True, (), "", answers=answers, habit=habit, size=5))


def taken(stitch: Stitch, said: list[bytes]) -> bytes:
    return b"".join(stitch.take(b"".join(said)))


def whole(answer: Answer, found: Heard) -> bool:
    return (found.answer, found.roles, found.ends) == (answer, 1, [answer.finish_reason])


@pytest.mark.parametrize("name", ANSWERS)
def test_answer_is_whole_wherever_it_was_cut(name: str) -> None:
    answer = ANSWERS[name]
    said = events(spoken(answer))
    for cut in range(1, len(said)):
        stitch = Stitch(b"".join(said[:cut]), 1)
        rest = taken(stitch, [*goes_on(stitch, answer, habit=HABITS[cut % len(HABITS)]), DONE])
        [found] = heard(b"".join(said[:cut]) + rest)
        assert whole(answer, found), f"cut behind {said[cut - 1]!r}"


@pytest.mark.parametrize("habit", [Habit.OLD, Habit.OLD | Habit.REPEATS])
@pytest.mark.parametrize("call", [LONDON, ESCAPES, SCRIPTS, CODE, NOTHING], ids=lambda call: call.name)
def test_call_in_the_old_shape_is_whole_wherever_it_was_cut(call: Call, habit: Habit) -> None:
    answer = Answer("Look. 🌍", (call._replace(id=""),))
    said = events(spoken(answer, habit=Habit.OLD))
    for cut in range(1, len(said)):
        stitch = Stitch(b"".join(said[:cut]), 1)
        stream = b"".join(said[:cut]) + taken(stitch, [*goes_on(stitch, answer, habit=habit), DONE])
        [found] = heard(stream)
        assert (found.answer, found.ends) == (answer, ["function_call"]), f"cut behind {said[cut - 1]!r}"
        assert b"tool_calls" not in stream


def test_answer_is_whole_when_the_second_breaks_too() -> None:
    answer = ANSWERS["two calls"]
    said = events(spoken(answer))
    for cut in range(1, len(said), 7):
        stitch = Stitch(b"".join(said[:cut]), 1)
        stream = b"".join(said[:cut]) + taken(stitch, goes_on(stitch, answer)[: 1 + cut % 9])
        stream += taken(stitch, goes_on(stitch, answer, number=3, habit=Habit.COUNTS_ANEW))
        assert whole(answer, heard(stream)[0])


def test_several_answers_may_be_text_and_calls() -> None:
    answers = (ANSWERS["latin"], ANSWERS["two calls"], ANSWERS["text and calls"])
    said = events(spoken(*answers))
    for cut in (*range(1, len(said) - 3, 11), len(said) - 2, len(said) - 1):
        stitch = Stitch(b"".join(said[:cut]), 3)
        stream = b"".join(said[:cut]) + taken(stitch, goes_on(stitch, *answers))
        found = heard(stream, 3)
        assert [each.answer for each in found] == list(answers)
        assert [each.ends for each in found] == [["stop"], ["tool_calls"], ["tool_calls"]]


# ---- one delta at a time


def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
    return sse.event(
        json.dumps({"id": "c", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}).encode()
    )


def named(index: int, identity: str | None, name: str | None, arguments: str = "") -> dict[str, Any]:
    return {"index": index, "id": identity, "type": "function", "function": {"name": name, "arguments": arguments}}


def more(index: int, arguments: str) -> dict[str, Any]:
    return {"index": index, "function": {"arguments": arguments}}


def calling(*entries: dict[str, Any], finish: str | None = None) -> bytes:
    return chunk({"tool_calls": list(entries)}, finish)


def half(arguments: str = '{"a": ') -> Stitch:
    """A stream that broke in the arguments of its first call, handed over."""
    return handed_over(calling(named(0, "call_1", "f", arguments)))


def handed_over(delivered: bytes) -> Stitch:
    stitch = Stitch(delivered, 1)
    stitch.hand_over()
    return stitch


def shown(stitch: Stitch, *events: bytes) -> list[dict[str, Any]]:
    """The deltas that the client sees of them."""
    rows = [row for data in sse.payloads(taken(stitch, list(events))) for row in json.loads(data)["choices"]]
    return [row["delta"] for row in rows]


def test_continued_call_is_not_named_again() -> None:
    assert shown(half(), calling(named(0, "call_1", "f", "1}"))) == [{"tool_calls": [more(0, "1}")]}]


def test_call_that_is_only_named_again_is_not_shown() -> None:
    assert shown(half(), calling(named(0, "call_1", "f"))) == []


def test_indices_of_the_client_are_kept_where_they_are_odd() -> None:
    delivered = calling(named(1, "call_1", "f", "{}")) + calling(named(4, "call_2", "g", "{"))
    stitch = handed_over(delivered)
    assert shown(stitch, calling(more(1, "}")), calling(named(2, "call_3", "h"))) == [
        {"tool_calls": [more(4, "}")]},
        {"tool_calls": [named(5, "call_3", "h")]},
    ]


def test_several_calls_in_one_event_are_several_events() -> None:
    said = calling(more(0, "1}"), named(1, "call_2", "g", "{}"), finish="tool_calls")
    assert shown(half(), said) == [
        {"tool_calls": [more(0, "1}")]},
        {"tool_calls": [named(1, "call_2", "g", "{}")]},
        {},
    ]


def test_end_beside_the_rest_of_a_call_in_the_old_shape_is_an_event_of_its_own() -> None:
    stitch = handed_over(chunk({"function_call": {"name": "f", "arguments": '{"a": '}}))
    rest = {"function_call": {"name": "f", "arguments": "1}"}}
    assert shown(stitch, chunk(rest, "function_call")) == [{"function_call": {"arguments": "1}"}}, {}]


UNFIT_IN_THE_OLD_SHAPE = {
    "another function": chunk({"function_call": {"name": "g", "arguments": "1}"}}),
    "the new shape": calling(named(0, "call_1", "f", "1}")),
    "both shapes at once": chunk({"function_call": {"arguments": "1"}, "tool_calls": [more(0, "1")]}),
    "text behind half a call": chunk({"content": "I"}),
    "the end behind half a call": chunk({}, "function_call"),
}


@pytest.mark.parametrize("name", UNFIT_IN_THE_OLD_SHAPE)
def test_what_does_not_fit_a_call_in_the_old_shape_leaves_no_trace(name: str) -> None:
    stitch = handed_over(chunk({"function_call": {"name": "f", "arguments": '{"a": '}}))
    assert given_until_unfit(stitch, UNFIT_IN_THE_OLD_SHAPE[name]) == []
    assert stitch.hand_over() == [Delivered("", (DeliveredCall("", "f", '{"a": '),))]
    assert shown(stitch, chunk({"function_call": {"arguments": "1}"}}, "function_call"))


def test_shape_of_calls_is_free_until_the_client_has_one() -> None:
    stitch = handed_over(chunk({"content": "Hm."}))
    assert given_until_unfit(stitch, chunk({"function_call": {"arguments": "1"}})) == []
    assert shown(stitch, calling(named(0, "call_1", "f"))) == [{"tool_calls": [named(0, "call_1", "f")]}]


def test_text_may_follow_a_call_that_is_complete() -> None:
    assert shown(half("{}"), chunk({"content": "Done."})) == [{"content": "Done."}]


def test_length_may_leave_half_a_call() -> None:
    assert shown(half(), calling(more(0, "12")), chunk({}, "length")) == [{"tool_calls": [more(0, "12")]}, {}]


@pytest.mark.parametrize("finish", ["stop", "tool_calls"])
def test_reason_is_that_of_whoever_ends(finish: str) -> None:
    [row] = json.loads(next(sse.payloads(taken(half("{}"), [chunk({}, finish)]))))["choices"]
    assert row["finish_reason"] == finish


UNFIT = {
    "text behind half a call": chunk({"content": "I"}),
    "another call behind half of one": calling(named(1, "call_2", "g")),
    "another call in the place of half of one": calling(named(0, "call_2", "f", "1}")),
    "the end behind half a call": chunk({}, "tool_calls"),
    "[DONE] behind half a call": DONE,
    "another name": calling(named(0, "call_1", "g", "1}")),
    "arguments of no call": calling(more(1, "1}")),
    "a tool that is no function": calling({"index": 0, "type": "custom", "custom": {"input": "x"}}),
    "no index": calling({"function": {"arguments": "1}"}}),
    "no arguments but a number": calling({"index": 0, "function": {"arguments": 1}}),
}


def given_until_unfit(stitch: Stitch, block: bytes) -> list[bytes]:
    given: list[bytes] = []
    with pytest.raises(Unstitchable):
        given.extend(stitch.take(block))
    return given


@pytest.mark.parametrize("name", UNFIT)
def test_what_does_not_fit_is_refused_and_leaves_no_trace(name: str) -> None:
    stitch = half()
    assert given_until_unfit(stitch, UNFIT[name]) == []
    assert stitch.hand_over() == [Delivered("", (DeliveredCall("call_1", "f", '{"a": '),))]


def test_what_came_before_the_unfit_is_given_and_counts_as_delivered() -> None:
    stitch = half()
    [event] = given_until_unfit(stitch, calling(more(0, "1"), more(7, "x"), finish="tool_calls"))
    assert b'"arguments":"1"' in event
    assert stitch.hand_over() == [Delivered("", (DeliveredCall("call_1", "f", '{"a": 1'),))]


@pytest.mark.parametrize(
    "delivered",
    [
        pytest.param(calling(named(0, "call_1", None)), id="no name yet"),
        pytest.param(calling({"index": 0, "type": "custom", "id": "x"}), id="no function"),
        pytest.param(calling({"id": "call_1", "function": {"name": "f"}}), id="no index"),
        pytest.param(calling(named(0, "call_1", "f")) + calling(named(0, "call_2", "g")), id="two under one index"),
        pytest.param(
            calling(named(0, "call_1", "f", "{")) + calling(named(1, "call_2", "g", "{")), id="two open at once"
        ),
        pytest.param(
            calling(named(0, "call_1", "f", "{}")) + calling(named(1, "call_2", "g")) + calling(more(0, " ")),
            id="more of the first behind the second",
        ),
    ],
)
def test_calls_that_nobody_can_go_on_with_are_told(delivered: bytes) -> None:
    with pytest.raises(Unstitchable):
        Stitch(delivered, 1)
