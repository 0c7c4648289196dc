"""Two streams made into one: nothing twice, nothing lost, one of everything."""

import json
from typing import Any

import pytest

from proxy.wire import sse
from proxy.wire.delivered import Unstitchable
from proxy.wire.stitch import Stitch

ORIGIN = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 17, "model": "gpt-5"}
OTHER = {"id": "chatcmpl-2", "object": "chat.completion.chunk", "created": 99, "model": "small"}
TEXTS = (
    "Hello, world! It's a test.",
    "日本語のテキスト、漢字とかな。",
    "👩‍👩‍👧‍👦 🇫🇷 e\u0301 — ok",
    'def f(x):\n\treturn {"a": [x, "\\n"]}  # {',
    '{"name": "Zoë", "tags": ["a", "b"]}',
    "  spaces  at   both ends  ",
)


def chunk(head: dict[str, Any], delta: dict[str, Any], finish: str | None = None, index: int = 0) -> bytes:
    choice = {"index": index, "delta": delta, "finish_reason": finish}
    return sse.event(json.dumps({**head, "choices": [choice]}, ensure_ascii=False).encode())


def stream(head: dict[str, Any], text: str) -> bytes:
    """The role, the text character by character, the end."""
    pieces = b"".join(chunk(head, {"content": character}) for character in text)
    return chunk(head, {"role": "assistant", "content": ""}) + pieces


def chunks(data: bytes) -> list[dict[str, Any]]:
    return [json.loads(each) for each in sse.payloads(data) if each != b"[DONE]"]


def said(data: bytes) -> str:
    deltas = [choice["delta"] for each in chunks(data) for choice in each["choices"]]
    return "".join(delta.get("content") or "" for delta in deltas)


def texts(stitch: Stitch) -> list[str | None]:
    return [answer and answer.text for answer in stitch.hand_over()]


def taken(stitch: Stitch, block: bytes) -> bytes:
    return b"".join(stitch.take(block))


END = chunk(OTHER, {}, "stop") + b"data: [DONE]\n\n"


@pytest.mark.parametrize("text", TEXTS)
def test_text_is_whole_wherever_it_was_cut(text: str) -> None:
    for cut in range(len(text) + 1):
        delivered = stream(ORIGIN, text[:cut])
        stitch = Stitch(delivered, 1)
        assert texts(stitch) == [text[:cut]]
        assert said(delivered + taken(stitch, stream(OTHER, text[cut:]) + END)) == text


def test_whole_is_one_stream() -> None:
    delivered = stream(ORIGIN, "Hel")
    whole = delivered + taken(Stitch(delivered, 1), stream(OTHER, "lo") + END)
    seen = chunks(whole)
    assert {(each["id"], each["created"], each["object"]) for each in seen} == {
        ("chatcmpl-1", 17, "chat.completion.chunk")
    }
    roles = [choice["delta"]["role"] for each in seen for choice in each["choices"] if "role" in choice["delta"]]
    assert roles == ["assistant"]
    ends = [choice["finish_reason"] for each in seen for choice in each["choices"] if choice["finish_reason"]]
    assert ends == ["stop"]
    assert whole.count(b"[DONE]") == 1


def test_model_is_the_one_that_wrote_the_chunk() -> None:
    delivered = stream(ORIGIN, "Hel")
    joined = taken(Stitch(delivered, 1), stream(OTHER, "lo"))
    assert {each["model"] for each in chunks(joined)} == {"small"}


def test_second_break_is_stitched_like_the_first() -> None:
    stitch = Stitch(stream(ORIGIN, "one "), 1)
    taken(stitch, stream(OTHER, "two "))
    assert (texts(stitch), stitch.is_open) == (["one two "], True)


def test_nothing_is_open_behind_the_finish() -> None:
    stitch = Stitch(stream(ORIGIN, "one "), 1)
    taken(stitch, END)
    assert not stitch.is_open


def test_usage_of_the_continuation_is_the_whole_streams() -> None:
    usage = {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14}
    joined = taken(
        Stitch(stream(ORIGIN, "Hel"), 1), sse.event(json.dumps({**OTHER, "choices": [], "usage": usage}).encode())
    )
    [last] = chunks(joined)
    assert (last["usage"], last["choices"], last["id"]) == (usage, [], "chatcmpl-1")


def test_text_completions_are_stitched_too() -> None:
    def piece(name: str, text: str) -> bytes:
        return sse.event(
            json.dumps({"id": name, "choices": [{"index": 0, "text": text, "finish_reason": None}]}).encode()
        )

    stitch = Stitch(piece("cmpl-1", "one"), 1)
    [joined] = chunks(taken(stitch, piece("cmpl-2", " two")))
    assert (joined["id"], joined["choices"][0]["text"], texts(stitch)) == ("cmpl-1", " two", ["one two"])


def test_of_several_answers_the_open_one_goes_on_under_its_index() -> None:
    delivered = chunk(ORIGIN, {"content": "a"}, index=0) + chunk(ORIGIN, {"content": "b"}, index=1)
    delivered += chunk(ORIGIN, {}, "stop", index=0)
    stitch = Stitch(delivered, 2)
    [joined] = chunks(taken(stitch, chunk(OTHER, {"content": "c"})))
    assert (texts(stitch), joined["choices"][0]["index"]) == ([None, "bc"], 1)


def test_several_open_answers_go_on_together() -> None:
    delivered = chunk(ORIGIN, {"content": "a"}, index=0) + chunk(ORIGIN, {"content": "b"}, index=1)
    stitch = Stitch(delivered, 3)
    assert texts(stitch) == ["a", "b", ""]
    taken(stitch, b"".join(chunk(OTHER, {"content": str(index)}, index=index) for index in range(3)))
    taken(stitch, chunk(OTHER, {}, "stop", index=1))
    assert texts(stitch) == ["a0", None, "2"]


def test_answer_that_had_not_begun_gets_its_role_from_whoever_begins_it() -> None:
    stitch = Stitch(chunk(ORIGIN, {"role": "assistant", "content": "a"}, index=0), 2)
    begins = b"".join(chunk(OTHER, {"role": "assistant", "content": "b"}, index=index) for index in range(2))
    roles = ["role" in each["choices"][0]["delta"] for each in chunks(taken(stitch, begins))]
    assert roles == [False, True]


def test_piece_before_one_that_does_not_fit_is_not_lost() -> None:
    stitch = Stitch(stream(ORIGIN, "a"), 1)
    given = stitch.take(chunk(OTHER, {"content": "b"}) + b"data: {]\n\n")
    assert said(next(given)) == "b"
    with pytest.raises(Unstitchable):
        next(given)
    assert texts(stitch) == ["ab"]


def test_usage_beside_several_answers_is_said_once() -> None:
    delivered = chunk(ORIGIN, {"content": "a"}, index=0) + chunk(ORIGIN, {"content": "b"}, index=1)
    rows = [{"index": index, "delta": {"content": "c"}, "finish_reason": None} for index in range(2)]
    both = sse.event(json.dumps({**OTHER, "choices": rows, "usage": {"total_tokens": 3}}).encode())
    assert [each.get("usage") for each in chunks(taken(Stitch(delivered, 2), both))] == [None, {"total_tokens": 3}]


@pytest.mark.parametrize(
    ("delivered", "choices"),
    [
        pytest.param(stream(ORIGIN, "a") + chunk(ORIGIN, {}, "stop"), 1, id="none is open"),
        pytest.param(stream(ORIGIN, "a") + chunk(ORIGIN, {"refusal": "b"}), 1, id="it is text and a refusal"),
        pytest.param(b'data: {"choices":[{"delta":[]}]}\n\n', 1, id="what was delivered is no chunk"),
        pytest.param(b"data: {]\n\n", 1, id="what was delivered is no JSON"),
    ],
)
def test_what_cannot_be_gone_on_with_is_told(delivered: bytes, choices: int) -> None:
    with pytest.raises(Unstitchable):
        Stitch(delivered, choices)


def test_broken_continuation_is_told() -> None:
    with pytest.raises(Unstitchable):
        taken(Stitch(stream(ORIGIN, "a"), 1), b'data: {"choices":[{}\n\n')
