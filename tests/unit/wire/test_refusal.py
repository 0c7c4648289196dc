"""A refusal that breaks: whoever goes on with it is asked for plain words, which the client sees as more of it."""

import json
from typing import Any

import pytest

from proxy.wire import sse
from proxy.wire.continuation import continued
from proxy.wire.delivered import Delivered, Unstitchable
from proxy.wire.stitch import Stitch
from tests.fakes.answers import DONE
from tests.fakes.spoken import Answer, Spoken
from tests.hearing import heard

REFUSALS = {
    "latin": "I'm sorry, but a naïve façade won't do:  I can't. ",
    "cjk": "申し訳ありませんが、お手伝いできません。",
    "emoji": "👩‍👩‍👧‍👦 🇫🇷 e\u0301 — no 🙅",
}
MESSAGES = [{"role": "user", "content": "Hi"}]
PLAIN: dict[str, Any] = {"model": "m", "messages": MESSAGES, "temperature": 0.5}
FORM = {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {}, "strict": True}}}
TOOLS = {
    "tools": [{"type": "function", "function": {"name": "f"}}],
    "tool_choice": "auto",
    "parallel_tool_calls": False,
    "functions": [{"name": "f"}],
    "function_call": "auto",
}
CONVENTIONS = ["hotspare", "assistant", "prefix", "vllm"]


def events(body: dict[str, Any], *answers: Answer, number: int = 1) -> list[bytes]:
    completion = Spoken(number, body, True, (), "", answers=answers)
    said = [event for piece in completion.pieces for event in completion.piece(piece)]
    return [*completion.opening(), *said, *completion.closing(), DONE]


def goes_on(stitch: Stitch, *answers: Answer, **fields: Any) -> list[bytes]:
    """What our own server says that is asked to."""
    body = json.dumps(PLAIN | {"n": len(answers)} | fields).encode()
    return events(json.loads(continued(body, "hotspare", stitch.hand_over())), *answers, number=2)


def taken(stitch: Stitch, *said: bytes) -> bytes:
    return b"".join(stitch.take(b"".join(said)))


def chunk(delta: dict[str, Any], finish: str | None = None, **row: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish, **row}
    return sse.event(json.dumps({"id": "c", "choices": [choice]}).encode())


def half(*deltas: dict[str, Any]) -> Stitch:
    """A refusal that broke, handed over."""
    stitch = Stitch(b"".join(map(chunk, deltas or [{"role": "assistant", "refusal": "I can"}])), 1)
    stitch.hand_over()
    return stitch


def shown(stitch: Stitch, *said: bytes) -> list[dict[str, Any]]:
    """The choices that the client sees of it."""
    return [row for data in sse.payloads(taken(stitch, *said)) for row in json.loads(data)["choices"]]


@pytest.mark.parametrize("script", REFUSALS)
def test_refusal_is_whole_wherever_it_was_cut(script: str) -> None:
    answer = Answer(refusal=REFUSALS[script])
    said = events(PLAIN, answer)
    for cut in range(2, len(said) - 2):
        stitch = Stitch(b"".join(said[:cut]), 1)
        stream = b"".join(said[:cut]) + taken(stitch, *goes_on(stitch, answer, **FORM, **TOOLS))
        [found] = heard(stream)
        assert (found.answer, found.roles, found.ends) == (answer, 1, ["stop"])
        assert (stream.count(DONE), stream.count(b"chatcmpl-fake-2")) == (1, 0)


@pytest.mark.parametrize("script", REFUSALS)
def test_refusal_is_whole_when_the_second_breaks_too(script: str) -> None:
    answer = Answer(refusal=REFUSALS[script])
    said = events(PLAIN, answer)
    for cut in range(2, len(said) - 2, 3):
        stitch = Stitch(b"".join(said[:cut]), 1)
        stream = b"".join(said[:cut]) + taken(stitch, *goes_on(stitch, answer, **FORM)[:3])
        stream += taken(stitch, *goes_on(stitch, answer, **FORM))
        assert heard(stream)[0].answer == answer


def test_whoever_goes_on_is_told_the_refusal() -> None:
    assert half().hand_over() == [Delivered("I can", (), is_refusal=True)]


@pytest.mark.parametrize("prefill", CONVENTIONS)
def test_nobody_is_asked_for_a_form_or_for_calls_behind_a_refusal(prefill: str) -> None:
    body = PLAIN | FORM | TOOLS | {"grammar": 'root ::= "a"', "guided_json": {}}
    refusal, text = Delivered("I can", is_refusal=True), Delivered("I can")
    asked = continued(json.dumps(body).encode(), prefill, [refusal])
    assert json.loads(asked) == json.loads(continued(json.dumps(PLAIN).encode(), prefill, [text]))


def test_words_behind_a_refusal_are_more_of_it() -> None:
    assert [row["delta"] for row in shown(half(), chunk({"role": "assistant", "content": "'t."}))] == [
        {"refusal": "'t."}
    ]


def test_who_refuses_too_is_understood() -> None:
    assert [row["delta"] for row in shown(half(), chunk({"content": None, "refusal": "'t."}))] == [{"refusal": "'t."}]


@pytest.mark.parametrize("finish", ["stop", "length", "content_filter"])
def test_reason_for_the_end_is_as_it_comes(finish: str) -> None:
    rows = shown(half(), chunk({"content": "'t."}, finish))
    assert [(row["delta"], row["finish_reason"]) for row in rows] == [({"refusal": "'t."}, finish)]


def test_what_says_nothing_is_not_shown() -> None:
    assert shown(half(), chunk({"role": "assistant", "content": ""})) == []


def test_likelihoods_are_those_of_the_refusal() -> None:
    scores = [{"token": "'t", "logprob": -0.5, "bytes": None, "top_logprobs": []}]
    [row] = shown(half(), chunk({"content": "'t"}, logprobs={"content": scores, "refusal": None}))
    assert row["logprobs"] == {"content": None, "refusal": scores}


@pytest.mark.parametrize(
    "delta",
    [
        pytest.param({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f"}}]}, id="a call"),
        pytest.param({"function_call": {"name": "f"}}, id="a call of the old kind"),
        pytest.param({"content": "a", "refusal": "b"}, id="text and a refusal at once"),
        pytest.param({"content": [{"type": "text", "text": "a"}]}, id="parts"),
        pytest.param({"refusal": ["a"]}, id="a refusal that is no text"),
    ],
)
def test_what_does_not_fit_is_refused_and_leaves_no_trace(delta: dict[str, Any]) -> None:
    stitch = half()
    with pytest.raises(Unstitchable):
        taken(stitch, chunk(delta))
    assert stitch.hand_over() == [Delivered("I can", (), is_refusal=True)]


@pytest.mark.parametrize(
    "other",
    [{"content": "a"}, {"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}]}],
    ids=["text", "a call"],
)
def test_refusal_beside_something_else_is_not_gone_on_with(other: dict[str, Any]) -> None:
    with pytest.raises(Unstitchable):
        half(other, {"refusal": "I can"})


REFUSING, TALKING = Answer(refusal="I can't do that."), Answer("Of course I can.")


def test_several_answers_that_all_refuse_go_on_together() -> None:
    said = events(PLAIN | {"n": 2}, REFUSING, REFUSING)
    stitch = Stitch(b"".join(said[:9]), 2)
    stream = b"".join(said[:9]) + taken(stitch, *goes_on(stitch, REFUSING, REFUSING, **FORM, **TOOLS))
    assert [found.answer for found in heard(stream, 2)] == [REFUSING, REFUSING]


def test_some_of_several_answers_may_refuse_where_no_form_was_asked_for() -> None:
    said = events(PLAIN | {"n": 2}, REFUSING, TALKING)
    stitch = Stitch(b"".join(said[:9]), 2)
    stream = b"".join(said[:9]) + taken(stitch, *goes_on(stitch, REFUSING, TALKING, response_format={"type": "text"}))
    assert [found.answer for found in heard(stream, 2)] == [REFUSING, TALKING]


def test_refusal_goes_on_beside_an_answer_that_is_complete() -> None:
    asked = continued(json.dumps(PLAIN | FORM).encode(), "hotspare", [None, Delivered("I can", is_refusal=True)])
    assert json.loads(asked) == PLAIN | {"delivered_text": [None, "I can"]}


@pytest.mark.parametrize("prefill", CONVENTIONS)
@pytest.mark.parametrize("bound", [FORM, TOOLS], ids=["a form", "tools"])
def test_form_is_not_taken_from_answers_that_do_not_refuse(prefill: str, bound: dict[str, Any]) -> None:
    body = json.dumps(PLAIN | bound | {"n": 2}).encode()
    with pytest.raises(Unstitchable):
        continued(body, prefill, [Delivered("I can", is_refusal=True), Delivered('{"a')])
