"""The request that asks somebody to go on behind a text, by the convention that the server knows.

    hotspare   `delivered_text`: goes on at the exact character, the last word drawn anew
    assistant  a last message of the assistant's, as it is (Anthropic, OpenRouter, llama-server, Ollama)
    prefix     the same, marked `"prefix": true` (Mistral, DeepSeek)
    vllm       the same, with `continue_final_message` (vLLM, SGLang)

In a text completion all but the first put the text behind the prompt.
"""

import msgspec

from proxy.wire.stitch import Unstitchable

_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_prompt = msgspec.json.Decoder(str | list[str]).decode
_encode = msgspec.json.Encoder().encode

_TRUE, _FALSE = msgspec.Raw(b"true"), msgspec.Raw(b"false")
_Fields = dict[str, msgspec.Raw]


class _Wanted(msgspec.Struct):
    n: int | None = None


_decode_wanted = msgspec.json.Decoder(_Wanted).decode


def choices(body: bytes) -> int:
    """How many answers a request asks for. Raises Unstitchable."""
    try:
        return _decode_wanted(body).n or 1
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Unstitchable("n is no number") from None


def continued(body: bytes, prefill: str, texts: list[str | None]) -> bytes:
    """`body` with the demand to go on behind each of the `texts` that is not None; every other value keeps its bytes.

    Raises Unstitchable where the convention has no way to say that.
    """
    fields = _decode_fields(body)
    if prefill == "hotspare":
        fields["delivered_text"] = _raw(texts[0] if len(texts) == 1 else texts)
        return msgspec.json.encode(fields)
    text, *others = [text for text in texts if text is not None]
    if others:
        raise Unstitchable("several answers are open")
    fields.pop("n", None)
    if text and "messages" in fields:
        fields |= _with_message(fields["messages"], prefill, text)
    elif text:
        fields["prompt"] = _with_prompt(fields.get("prompt", msgspec.Raw(b"null")), text)
    return msgspec.json.encode(fields)


def _with_message(messages: msgspec.Raw, prefill: str, text: str) -> _Fields:
    message: dict[str, object] = {"role": "assistant", "content": text}
    if prefill == "prefix":
        message["prefix"] = True
    marks = {"add_generation_prompt": _FALSE, "continue_final_message": _TRUE} if prefill == "vllm" else {}
    return {"messages": _raw([*_decode_list(messages), message]), **marks}


def _with_prompt(prompt: msgspec.Raw, text: str) -> msgspec.Raw:
    try:
        given = _decode_prompt(prompt)
    except msgspec.DecodeError:
        given = []
    if isinstance(given, list):
        if len(given) != 1:
            raise Unstitchable("the prompt is not one text")
        given = given[0]
    return _raw(given + text)


def _raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(_encode(value))
