"""The few fields of a request that routing needs, read by one typed decode. The body itself stays bytes."""

import re
from collections.abc import Collection

import msgspec

from proxy.errors import RequestInvalid


class _Body(msgspec.Struct):
    """Every field raw: what is odd about the others is for the upstream to say, not for us."""

    model: msgspec.Raw = msgspec.Raw()
    messages: msgspec.Raw = msgspec.Raw()
    stream: msgspec.Raw = msgspec.Raw()
    tools: msgspec.Raw = msgspec.Raw()
    functions: msgspec.Raw = msgspec.Raw()
    function_call: msgspec.Raw = msgspec.Raw()
    tool_choice: msgspec.Raw = msgspec.Raw()
    response_format: msgspec.Raw = msgspec.Raw()
    logprobs: msgspec.Raw = msgspec.Raw()
    logit_bias: msgspec.Raw = msgspec.Raw()
    prompt: msgspec.Raw = msgspec.Raw()
    audio: msgspec.Raw = msgspec.Raw()


class _Plain(msgspec.Struct, gc=False):
    """The fields of a request that asks for text and nothing else, as nearly all do."""

    model: str
    stream: bool | None = None
    tools: msgspec.UnsetType = msgspec.UNSET
    functions: msgspec.UnsetType = msgspec.UNSET
    function_call: msgspec.UnsetType = msgspec.UNSET
    tool_choice: msgspec.UnsetType = msgspec.UNSET
    response_format: msgspec.UnsetType = msgspec.UNSET
    logprobs: msgspec.UnsetType = msgspec.UNSET
    logit_bias: msgspec.UnsetType = msgspec.UNSET
    prompt: str | None = None
    audio: msgspec.UnsetType = msgspec.UNSET


class _Typed(msgspec.Struct):
    type: str = ""


_decode_plain = msgspec.json.Decoder(_Plain).decode
_decode_body = msgspec.json.Decoder(_Body).decode
_decode_typed = msgspec.json.Decoder(_Typed).decode
_decode_string = msgspec.json.Decoder(str).decode
_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class Peek(msgspec.Struct, frozen=True, gc=False):
    """What a completion request asks for. `needs` are words of core.candidates.Need."""

    model: str
    is_stream: bool
    needs: frozenset[str]


def peek(body: bytes) -> Peek:
    """Read the fields. Raises RequestInvalid for what is not a JSON object with a model name."""
    try:
        plain = _decode_plain(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _peek_closely(body)  # it may only be less plain than that
    if not plain.model or b'"type"' in body:  # every part that is no text has one
        return _peek_closely(body)
    return Peek(plain.model, plain.stream is True, _NO_NEEDS)


_NO_NEEDS: frozenset[str] = frozenset()


def _peek_closely(body: bytes) -> Peek:
    fields = _fields(body)
    return Peek(_model(fields.model), _flag(fields.stream, "stream"), frozenset(_needs(fields, body)))


def with_model(body: bytes, model: str, dropped: Collection[str] = ()) -> bytes:
    """The same request for another model, without the `dropped` fields; every other value keeps its bytes.

    Raises RequestInvalid.
    """
    try:
        fields = _decode_fields(body)
    except UnicodeDecodeError:
        raise RequestInvalid("A field's name in the JSON body is not UTF-8.", code="invalid_json") from None
    for name in dropped:
        fields.pop(name, None)
    fields["model"] = msgspec.Raw(msgspec.json.encode(model))
    return msgspec.json.encode(fields)


def _fields(body: bytes) -> _Body:
    try:
        return _decode_body(body)
    except msgspec.ValidationError:
        raise RequestInvalid("The request body has to be a JSON object.", code="invalid_json") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        message = f"We could not parse the JSON body of your request: {error}"
        raise RequestInvalid(message, code="invalid_json") from None
    except RecursionError:
        raise RequestInvalid("The JSON body of your request is nested too deeply.", code="invalid_json") from None


def _model(raw: msgspec.Raw) -> str:
    if not bytes(raw) or bytes(raw) == b"null":
        raise RequestInvalid("You must provide a model parameter.", param="model", code="missing_required_parameter")
    try:
        model = _decode_string(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        model = ""
    if not model:
        raise RequestInvalid("The model parameter has to be a non-empty string.", param="model", code="invalid_type")
    return model


def _flag(raw: msgspec.Raw, name: str) -> bool:
    value = bytes(raw)
    if value not in (b"", b"null", b"true", b"false"):
        raise RequestInvalid(f"The {name} parameter has to be true or false.", param=name, code="invalid_type")
    return value == b"true"


_TOKEN_IDS = re.compile(rb"\[\s*(?:\[\s*)?[0-9]")
"""A list that begins with a number, or with such a list."""

_NOTHING = (b"", b"null", b"false", b"[]", b"{}", b"0")


def _needs(fields: _Body, body: bytes) -> list[str]:
    has = {
        "tools": _is_set(fields.tools) or _is_set(fields.functions),
        "required_tool": _is_demand(fields.tool_choice) or bytes(fields.function_call).startswith(b"{"),
        "json": _type(fields.response_format) in ("json_object", "json_schema"),
        "logprobs": _is_set(fields.logprobs),
        "logit_bias": _is_set(fields.logit_bias),
        "token_ids": _TOKEN_IDS.match(fields.prompt) is not None,
        "vision": _stands_in_messages(b'"image_url"', fields, body),
        "audio": _is_set(fields.audio) or _stands_in_messages(b'"input_audio"', fields, body),
    }
    return [need for need, is_needed in has.items() if is_needed]


def _is_demand(tool_choice: msgspec.Raw) -> bool:
    """Whether some tool has to be called: "required", or a named one. A list of allowed ones may leave it open."""
    value = bytes(tool_choice)
    if not value.startswith(b"{"):
        return value == b'"required"'
    return _type(tool_choice) != "allowed_tools" or b'"required"' in value


def _stands_in_messages(quoted: bytes, fields: _Body, body: bytes) -> bool:
    """Whether a key or a whole value of the messages is this word. In JSON the quotes inside a string are escaped, so
    prose cannot look like it. The messages are copied only where the body has the word at all.
    """
    return quoted in body and quoted in bytes(fields.messages)


def _is_set(raw: msgspec.Raw) -> bool:
    return bytes(raw) not in _NOTHING


def _type(raw: msgspec.Raw) -> str:
    try:
        return _decode_typed(raw).type
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
