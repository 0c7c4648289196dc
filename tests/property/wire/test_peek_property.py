"""Another model's name in a request, and nothing else; and no body that brings the reader down."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import RequestInvalid
from proxy.wire import completion, models
from proxy.wire.peek import Peek, peek, with_model

TEXT = st.text('ab:{}[],"\\\n\x00 /é例🦙', max_size=6)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=5
)
FIELDS = st.dictionaries(TEXT.filter(lambda name: name != "stream"), VALUES, max_size=4)
STYLES: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [{}, {"ensure_ascii": False}, {"indent": 2}, {"separators": (",", ":")}]
)


def whole_values(body: bytes) -> dict[str, str]:
    """Each value's text, by its key, read without msgspec."""
    text, decoder, found = body.decode(), json.JSONDecoder(), dict[str, str]()
    index = text.index("{") + 1
    while text[index:].lstrip(" \n\r\t,") != "}":
        index = len(text) - len(text[index:].lstrip(" \n\r\t,"))
        key, index = decoder.raw_decode(text, index)
        index = len(text) - len(text[index:].lstrip(" \n\r\t:"))
        _, end = decoder.raw_decode(text, index)
        found[key], index = text[index:end], end
    return found


@pytest.mark.slow
@given(FIELDS, TEXT, TEXT, STYLES)
def test_with_model_keeps_the_bytes_of_every_other_value(
    fields: dict[str, Any], model: str, other: str, style: dict[str, Any]
) -> None:
    sent = json.dumps({**fields, "model": model}, **style).encode()
    before, after = whole_values(sent), whole_values(with_model(sent, other))
    assert json.loads(after.pop("model")) == other
    before.pop("model")
    assert list(after.items()) == list(before.items())


@pytest.mark.slow
@given(FIELDS, TEXT.filter(bool), st.booleans(), STYLES)
def test_model_and_stream_are_read_among_any_other_fields(
    fields: dict[str, Any], model: str, is_stream: bool, style: dict[str, Any]
) -> None:
    sent = json.dumps({**fields, "model": model, "stream": is_stream}, **style).encode()
    seen = peek(sent)
    assert (seen.model, seen.is_stream) == (model, is_stream)


@given(st.text())
def test_prose_is_never_taken_for_an_image(prose: str) -> None:
    content = f'{prose} "image_url" {prose} "input_audio" {prose}'
    sent = json.dumps({"model": "m", "messages": [{"role": "user", "content": content}]}).encode()
    assert peek(sent).needs == frozenset()


PIECES = st.sampled_from(
    [b'"model"', b":", b",", b"{", b"}", b"[", b"]", b'"x"', b"1", b"\xff", b" ", b"true", b'"\\u']
)
GARBAGE = st.binary(max_size=40) | st.lists(PIECES, max_size=14).map(b"".join)


@given(GARBAGE | GARBAGE.map(lambda tail: b'{"model":' + tail + b"}"))
def test_any_bytes_are_read_or_refused(sent: bytes) -> None:
    try:
        seen: Peek | RequestInvalid = peek(sent)
    except RequestInvalid as error:
        seen = error
    assert seen.model if isinstance(seen, Peek) else seen.code


@given(GARBAGE)
def test_any_bytes_from_an_upstream_are_judged(sent: bytes) -> None:
    assert completion.glance(sent).is_error or completion.is_whole(sent) or sent == completion.DONE
    assert isinstance(models.entries(sent), list)
