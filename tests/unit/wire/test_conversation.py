"""What makes a dialogue the same one, turn after turn."""

import json

import pytest

from proxy.wire.conversation import conversation

SYSTEM = {"role": "system", "content": "You are the assistant of a shop. " * 100}
QUESTION = {"role": "user", "content": "Where is my parcel?"}
ANSWER = {"role": "assistant", "content": "On its way."}
THANKS = {"role": "user", "content": "Thanks!"}


def chat(*messages: dict[str, object], **fields: object) -> bytes:
    return json.dumps({"messages": messages, "model": "gpt-5", **fields}).encode()


def test_every_turn_of_a_dialogue_is_the_same_conversation() -> None:
    assert conversation(chat(SYSTEM, QUESTION)) == conversation(chat(SYSTEM, QUESTION, ANSWER, THANKS, stream=True))


def test_another_question_under_the_same_system_prompt_is_another_conversation() -> None:
    assert conversation(chat(SYSTEM, QUESTION)) != conversation(chat(SYSTEM, THANKS))


def test_developer_messages_are_the_applications_own_too() -> None:
    assert conversation(chat({"role": "developer", "content": "Be brief."}, QUESTION)) == conversation(chat(QUESTION))


def test_of_a_long_question_the_beginning_counts() -> None:
    assert len(conversation(chat({"role": "user", "content": "why " * 1000}))) == 1024


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"model":"gpt-5","prompt":"Once upon a time"}', id="a completion"),
        pytest.param(chat(SYSTEM)[:900], id="no JSON"),
        pytest.param(chat(), id="no messages"),
        pytest.param(b'{"messages":[{"role":7}]}', id="no role"),
        pytest.param(b'{"messages":' + b"[" * 5000, id="nested without end"),
        pytest.param(b'{"messages":[{"role":"\xff"}]}', id="no UTF-8"),
    ],
)
def test_what_is_no_dialogue_goes_by_its_own_beginning(body: bytes) -> None:
    assert conversation(body) == body[:1024]


def test_large_body_is_not_read() -> None:
    body = chat(QUESTION, padding="x" * 1024 * 1024)
    assert conversation(body) == body[:1024]
