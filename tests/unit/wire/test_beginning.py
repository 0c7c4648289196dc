"""What of a request is the beginning of its conversation."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.wire.beginning import BODY_BYTES, beginning

SYSTEM = '{"role": "system", "content":  "Be brief."}'
DEVELOPER = '{"content":"Be kind.","role":"developer"}'
USER = '{"role": "user", "content": "Hi"}'


TOOLS = '[ {"type": "function", "function": {"name": "weather"}} ]'
FUNCTIONS = '[{"name":  "weather"}]'


def body(*messages: str, more: str = "") -> bytes:
    return f'{{"model": "m", {more} "messages": [{", ".join(messages)}], "stream": true}}'.encode()


@pytest.mark.parametrize(
    ("messages", "found"),
    [
        ([SYSTEM, USER], f'{{"messages":[{SYSTEM}]}}'),
        ([SYSTEM, DEVELOPER, USER, SYSTEM], f'{{"messages":[{SYSTEM},{DEVELOPER}]}}'),
        ([SYSTEM], f'{{"messages":[{SYSTEM}]}}'),
        ([USER, SYSTEM], None),
        ([], None),
    ],
)
def test_leading_messages_are_given_in_the_bytes_they_came_in(messages: list[str], found: str | None) -> None:
    assert beginning(body(*messages)) == (found.encode() if found else None)


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        (f'"tools": {TOOLS}, "tool_choice": "auto",', f'{{"messages":[{SYSTEM}],"tools":{TOOLS}}}'),
        (f'"tools": {TOOLS}, "tool_choice": "required",', f'{{"messages":[{SYSTEM}],"tools":{TOOLS}}}'),
        (f'"tools": {TOOLS}, "tool_choice": "none",', f'{{"messages":[{SYSTEM}]}}'),
        (f'"tools": {TOOLS}, "functions": {FUNCTIONS},', f'{{"messages":[{SYSTEM}],"tools":{TOOLS}}}'),
        (f'"functions": {FUNCTIONS},', f'{{"messages":[{SYSTEM}],"functions":{FUNCTIONS}}}'),
        (f'"functions": {FUNCTIONS}, "function_call": "none",', f'{{"messages":[{SYSTEM}]}}'),
        ('"tools": [], "functions": null,', f'{{"messages":[{SYSTEM}]}}'),
        ('"response_format": {"type": "json_object"},', f'{{"messages":[{SYSTEM}]}}'),
    ],
)
def test_tools_are_a_part_of_it_unless_none_may_be_called(fields: str, found: str) -> None:
    assert beginning(body(SYSTEM, USER, more=fields)) == found.encode()


def test_tools_alone_are_a_beginning() -> None:
    found = beginning(body(USER, more=f'"tools": {TOOLS},'))
    assert found == f'{{"messages":[],"tools":{TOOLS}}}'.encode()


def test_tools_that_are_too_long_to_be_kept_make_none() -> None:
    assert beginning(body(SYSTEM, USER, more=f'"tools": [{json.dumps("x" * 2**16)}],')) is None


@pytest.mark.parametrize(
    "odd",
    [
        b"",
        b"[]",
        b'{"model": "m"}',
        b'{"messages": "Hi"}',
        b'{"messages": [1]}',
        b'{"messages": [{"role": 5}]}',
        b'{"messages": [{"role": "syst',
        b'{"messages": [{"role": "\xff"}]}',
        b'{"messages": ' + b"[" * 100_000,
    ],
)
def test_what_is_no_chat_has_no_beginning(odd: bytes) -> None:
    assert beginning(odd) is None


def test_beginning_that_is_too_long_to_be_kept_is_none() -> None:
    long = json.dumps({"role": "system", "content": "x" * 2**16})
    assert beginning(body(long, USER)) is None


def test_request_that_is_too_large_to_be_looked_into_has_none() -> None:
    large = json.dumps({"role": "user", "content": "x" * BODY_BYTES})
    assert beginning(body(SYSTEM, large)) is None


@given(st.lists(st.fixed_dictionaries({"role": st.sampled_from(["system", "user"]), "content": st.text()}), max_size=4))
def test_beginning_says_what_the_messages_say(messages: list[dict[str, Any]]) -> None:
    roles = [message["role"] for message in messages]
    leading = messages[: roles.index("user")] if "user" in roles else messages
    found = beginning(json.dumps({"model": "m", "messages": messages}).encode())
    assert (json.loads(found)["messages"] if found else []) == leading
