"""The request that asks somebody to go on behind an answer, by the convention that the server knows.

    hotspare   `delivered_text`: goes on at the exact character, the last word drawn anew;
               `delivered_tool_calls`: goes on in the arguments of the last one
    assistant  a last message of the assistant's, as it is (Anthropic, OpenRouter, llama-server, Ollama)
    prefix     the same, marked `"prefix": true` (Mistral, DeepSeek)
    vllm       the same, with `continue_final_message` (vLLM, SGLang)

In a text completion all but the first put the text behind the prompt. Nobody goes on behind several prompts, of whose
answers a text does not say which one it is of, or behind one that is echoed: it would be echoed again.

Only the first goes on with tool calls, which no message can leave half said, and with text that has to follow a schema
or a grammar. The others begin those anew behind the prefill (llama.cpp issue 17435; vLLM's matchers see generated
tokens only), give blanks for what is no JSON in itself (DeepSeek, "JSON Output"), or refuse.

A refusal is text that no schema applies to, and that no call follows. Whoever goes on behind one is asked for neither.
"""

from typing import Final

import msgspec

from proxy.wire.delivered import Delivered, DeliveredCall, Unstitchable

_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_prompt = msgspec.json.Decoder(str | list[str]).decode
_encode = msgspec.json.Encoder().encode

_TRUE, _FALSE = msgspec.Raw(b"true"), msgspec.Raw(b"false")
_Fields = dict[str, msgspec.Raw]


_CONSTRAINTS: Final = frozenset(
    {
        *("response_format", "structured_outputs", "grammar", "json_schema", "regex", "ebnf"),
        *("guided_json", "guided_regex", "guided_choice", "guided_grammar"),
    }
)
"""OpenAI's, llama-server's, SGLang's and vLLM's ways to ask for text that follows rules."""
_UNCONSTRAINED: Final = (b"", b"null", b'{"type":"text"}')
_TOOLS: Final = frozenset({"tools", "tool_choice", "parallel_tool_calls", "functions", "function_call"})


_MOST_CHOICES: Final = 128
"""OpenAI's limit. An upstream that does not know `n` lets any number pass, and each costs memory here."""


class _Wanted(msgspec.Struct):
    n: int | None = None


_decode_wanted = msgspec.json.Decoder(_Wanted).decode


def choices(body: bytes) -> int:
    """How many answers a request asks for. Raises Unstitchable."""
    try:
        wanted = _decode_wanted(body).n or 1
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Unstitchable("n is no number") from None
    if wanted > _MOST_CHOICES:
        raise Unstitchable("so many answers were never meant")
    return wanted


def continued(body: bytes, prefill: str, delivered: list[Delivered | None]) -> bytes:
    """`body` with the demand to go on behind each of the answers that is not None; every other value keeps its bytes.

    Raises Unstitchable where the convention has no way to say that.
    """
    fields = _decode_fields(body)
    _check_prompt(fields)
    if any(answer.is_refusal for answer in delivered if answer):
        fields = _freed(fields, delivered)
    if prefill == "hotspare":
        return msgspec.json.encode(fields | _delivered(delivered))
    text = _only_text(fields, delivered)
    fields.pop("n", None)
    if text and "messages" in fields:
        fields |= _with_message(fields["messages"], prefill, text)
    elif text:
        fields["prompt"] = _with_prompt(fields.get("prompt", msgspec.Raw(b"null")), text)
    return msgspec.json.encode(fields)


def _check_prompt(fields: _Fields) -> None:
    if bytes(fields.get("echo", b"")) == b"true":
        raise Unstitchable("the prompt is part of the answer")
    prompt = fields.get("prompt", msgspec.Raw(b"null"))
    several = _decode_list(prompt) if bytes(prompt).startswith(b"[") else []
    if len(several) > 1 and bytes(several[0]).startswith((b'"', b"[")):  # not the token ids of one
        raise Unstitchable("there are several prompts")


def _freed(fields: _Fields, delivered: list[Delivered | None]) -> _Fields:
    """Without what a refusal must not be asked for; other answers cannot do without it."""
    bounds = {name for name in fields.keys() & (_CONSTRAINTS | _TOOLS) if _is_constraint(fields[name])}
    if bounds and not all(answer.is_refusal for answer in delivered if answer):
        raise Unstitchable("only some of the answers are refusals")
    return {name: value for name, value in fields.items() if name not in bounds}


def _delivered(delivered: list[Delivered | None]) -> _Fields:
    texts = [answer and answer.text for answer in delivered]
    calls = [answer and [_called(call) for call in answer.calls] for answer in delivered]
    marks = {"delivered_text": _raw(texts[0] if len(texts) == 1 else texts)}
    return marks | {"delivered_tool_calls": _raw(calls[0] if len(calls) == 1 else calls)} if any(calls) else marks


def _called(call: DeliveredCall) -> dict[str, object]:
    """As in a message of the assistant's (ChatCompletionMessageToolCall)."""
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _only_text(fields: _Fields, delivered: list[Delivered | None]) -> str:
    """Of the one answer that is open."""
    answer, *others = [answer for answer in delivered if answer is not None]
    if others:
        raise Unstitchable("several answers are open")
    if answer.calls:
        raise Unstitchable("a tool is being called")
    if answer.text and any(_is_constraint(value) for name, value in fields.items() if name in _CONSTRAINTS):
        raise Unstitchable("the text has to follow a schema or a grammar")
    return answer.text


def _is_constraint(value: msgspec.Raw) -> bool:
    return b"".join(bytes(value).split()) not in _UNCONSTRAINED


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
