"""A request to go on behind a text, in every convention."""

import json
from typing import Any

import pytest

from proxy.wire.continuation import choices, continued
from proxy.wire.delivered import Delivered, DeliveredCall, Unstitchable

USER = {"role": "user", "content": "Hi"}
CHAT: dict[str, Any] = {"model": "m", "messages": [USER], "temperature": 0.10}
TEXT: dict[str, Any] = {"model": "m", "prompt": "Once"}
HALF = {"role": "assistant", "content": "Hel"}


def asked(body: dict[str, Any], prefill: str, text: str = "Hel") -> dict[str, Any]:
    result: dict[str, Any] = json.loads(continued(json.dumps(body).encode(), prefill, [Delivered(text)]))
    return result


@pytest.mark.parametrize(
    ("prefill", "change"),
    [
        ("hotspare", {"delivered_text": "Hel"}),
        ("assistant", {"messages": [USER, HALF]}),
        ("prefix", {"messages": [USER, {**HALF, "prefix": True}]}),
        (
            "vllm",
            {"messages": [USER, HALF], "add_generation_prompt": False, "continue_final_message": True},
        ),
    ],
)
def test_chat_says_where_to_go_on(prefill: str, change: dict[str, Any]) -> None:
    assert asked(CHAT, prefill) == {**CHAT, **change}


def test_our_own_server_goes_on_with_several_answers_at_once() -> None:
    body = json.dumps({**CHAT, "n": 3}).encode()
    sent = json.loads(continued(body, "hotspare", [Delivered("a"), None, Delivered("c")]))
    assert (sent["n"], sent["delivered_text"]) == (3, ["a", None, "c"])


@pytest.mark.parametrize("prefill", ["assistant", "prefix", "vllm"])
def test_others_go_on_with_one_of_several_answers(prefill: str) -> None:
    body = json.dumps({**CHAT, "n": 2}).encode()
    sent = json.loads(continued(body, prefill, [None, Delivered("b")]))
    assert "n" not in sent
    assert sent["messages"][-1]["content"] == "b"
    with pytest.raises(Unstitchable):
        continued(body, prefill, [Delivered("a"), Delivered("b")])


@pytest.mark.parametrize("prefill", ["assistant", "prefix", "vllm"])
@pytest.mark.parametrize("prompt", ["Once", ["Once"]])
def test_text_goes_on_behind_the_prompt(prefill: str, prompt: object) -> None:
    assert asked({"model": "m", "prompt": prompt}, prefill, " upon")["prompt"] == "Once upon"


def test_our_own_server_keeps_prompt_and_text_apart() -> None:
    assert asked(TEXT, "hotspare", " upon") == {**TEXT, "delivered_text": " upon"}


@pytest.mark.parametrize("prefill", ["assistant", "prefix", "vllm"])
def test_where_no_text_came_yet_nothing_is_prefilled(prefill: str) -> None:
    assert asked(CHAT, prefill, "")["messages"] == [USER]


@pytest.mark.parametrize("prompt", [[1, 2, 3], ["a", "b"], None, [[1], [2]]])
def test_prompt_that_is_not_one_text_cannot_be_continued(prompt: object) -> None:
    with pytest.raises(Unstitchable):
        asked({"model": "m", "prompt": prompt}, "assistant")


@pytest.mark.parametrize("prefill", ["hotspare", "assistant", "prefix", "vllm"])
@pytest.mark.parametrize("prompt", [["a", "b"], [[1], [2]]])
def test_nobody_goes_on_behind_several_prompts(prefill: str, prompt: object) -> None:
    with pytest.raises(Unstitchable):
        asked({"model": "m", "prompt": prompt}, prefill)


@pytest.mark.parametrize("prompt", [["Once"], [1, 2, 3], [[1, 2]]])
def test_our_own_server_goes_on_behind_one_prompt_however_it_is_told(prompt: object) -> None:
    assert asked({"model": "m", "prompt": prompt}, "hotspare")["delivered_text"] == "Hel"


@pytest.mark.parametrize("prefill", ["hotspare", "assistant", "prefix", "vllm"])
def test_nobody_goes_on_behind_a_prompt_that_is_echoed(prefill: str) -> None:
    with pytest.raises(Unstitchable):
        asked({**TEXT, "echo": True}, prefill)
    assert asked({**TEXT, "echo": False}, prefill)["echo"] is False


def test_other_values_keep_their_bytes() -> None:
    body = b'{"model":"m","messages":[{"role":"user","content":"\\u00e9"}],"temperature":1.00}'
    sent = continued(body, "assistant", [Delivered("é")])
    assert b'"temperature":1.00' in sent
    assert b'{"role":"user","content":"\\u00e9"}' in sent


@pytest.mark.parametrize(("body", "count"), [(b"{}", 1), (b'{"n":null}', 1), (b'{"n":3}', 3)])
def test_number_of_answers(body: bytes, count: int) -> None:
    assert choices(body) == count


@pytest.mark.parametrize("n", ['"many"', "1000000000"])
def test_number_of_answers_may_be_nonsense(n: str) -> None:
    with pytest.raises(Unstitchable):
        choices(f'{{"n":{n}}}'.encode())


CALLS = (DeliveredCall("call_1", "weather", '{"city":"Par'), DeliveredCall("call_2", "time", '{"zone":"\\u00'))
SAID = [
    {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Par'}},
    {"id": "call_2", "type": "function", "function": {"name": "time", "arguments": '{"zone":"\\u00'}},
]


def sent(body: dict[str, Any], prefill: str, *delivered: Delivered | None) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(continued(json.dumps(body).encode(), prefill, list(delivered)))
    return result


def test_our_own_server_is_told_the_tool_calls() -> None:
    assert sent(CHAT, "hotspare", Delivered("Let me see.", CALLS)) == {
        **CHAT,
        "delivered_text": "Let me see.",
        "delivered_tool_calls": SAID,
    }


def test_of_several_answers_each_has_its_own_tool_calls() -> None:
    asked = sent({**CHAT, "n": 3}, "hotspare", Delivered("a"), None, Delivered("", CALLS[:1]))
    assert (asked["delivered_text"], asked["delivered_tool_calls"]) == (["a", None, ""], [[], None, SAID[:1]])


@pytest.mark.parametrize("prefill", ["assistant", "prefix", "vllm"])
def test_nobody_else_can_be_told_half_a_tool_call(prefill: str) -> None:
    with pytest.raises(Unstitchable):
        sent(CHAT, prefill, Delivered("", CALLS[:1]))


CONSTRAINTS: list[dict[str, Any]] = [
    {"response_format": {"type": "json_object"}},
    {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {}}}},
    {"guided_json": {"type": "object"}},
    {"grammar": 'root ::= "a"'},
]


@pytest.mark.parametrize("constraint", CONSTRAINTS, ids=lambda constraint: next(iter(constraint)))
@pytest.mark.parametrize("prefill", ["assistant", "prefix", "vllm"])
def test_others_would_begin_json_anew(prefill: str, constraint: dict[str, Any]) -> None:
    with pytest.raises(Unstitchable):
        sent({**CHAT, **constraint}, prefill, Delivered('{"a'))


@pytest.mark.parametrize("prefill", ["assistant", "prefix", "vllm"])
def test_others_may_begin_json_that_nobody_has_begun(prefill: str) -> None:
    body = {**CHAT, **CONSTRAINTS[0]}
    assert sent(body, prefill, Delivered(""))["response_format"] == {"type": "json_object"}


@pytest.mark.parametrize("unconstrained", [None, {"type": "text"}])
def test_others_go_on_with_text_that_is_asked_for_as_text(unconstrained: object) -> None:
    assert sent({**CHAT, "response_format": unconstrained}, "assistant", Delivered("Hel"))["messages"][-1] == HALF


@pytest.mark.parametrize("constraint", CONSTRAINTS, ids=lambda constraint: next(iter(constraint)))
def test_our_own_server_is_told_what_the_answer_has_to_follow(constraint: dict[str, Any]) -> None:
    asking = {"tools": [{"type": "function", "function": {"name": "weather"}}], "tool_choice": "required"}
    body = {**CHAT, **constraint, **asking}
    assert sent(body, "hotspare", Delivered('{"a')) == {**body, "delivered_text": '{"a'}
