"""OpenAI's request bodies, decoded and validated. Pure: bytes in, typed values out, `RequestError` for the rest.

Unknown fields are ignored, as OpenAI's clients expect of each other's extensions. Fields that would change what the
answer means and cannot be kept (a JSON schema, a forced tool call) are refused instead.
"""

import re
from typing import Annotated, Any, Final, Literal, TypeAlias, TypeVar

import msgspec
from msgspec import Meta, Struct

from models.engine.healing import NO_SEAM, Seam
from models.engine.params import SamplingParams, llama_seed
from models.errors import RequestError

MAX_CHOICES: Final = 128
_COMPLETION_DEFAULT_TOKENS: Final = 16  # OpenAI's own default for this endpoint

_Penalty: TypeAlias = Annotated[float, Meta(ge=-2.0, le=2.0)]
_Share: TypeAlias = Annotated[float, Meta(ge=0.0, le=1.0)]
_Count: TypeAlias = Annotated[int, Meta(ge=1)]


class StreamOptions(Struct, frozen=True):
    """How a stream is told."""

    include_usage: bool = False


class SamplingFields(Struct, frozen=True, kw_only=True):
    """What chat and text completions share."""

    model: str
    max_tokens: _Count | None = None
    temperature: Annotated[float, Meta(ge=0.0, le=2.0)] | None = None
    top_p: _Share | None = None
    top_k: Annotated[int, Meta(ge=-1, le=2**31 - 1)] | None = None
    min_p: _Share | None = None
    frequency_penalty: _Penalty | None = None
    presence_penalty: _Penalty | None = None
    repeat_penalty: Annotated[float, Meta(gt=0.0, le=10.0)] | None = None
    logit_bias: dict[str, Annotated[float, Meta(ge=-100.0, le=100.0)]] | None = None
    stop: str | Annotated[list[str], Meta(max_length=4)] | None = None
    seed: int | None = None
    n: Annotated[int, Meta(ge=1, le=8)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    ignore_eos: bool | None = None
    grammar: str | None = None
    delivered_text: str | list[str | None] | None = None
    """Of this answer, what the client has already: the answer goes on exactly behind it. Of `n` answers a list; null
    for those that are complete, of which nothing more is said.
    """

    @property
    def choices(self) -> int:
        """How many answers to each prompt."""
        return self.n or 1

    @property
    def delivered(self) -> list[str | None]:
        """For each answer what there is of it; None for those that are complete."""
        given = self.delivered_text
        return given if isinstance(given, list) else [given or ""] * self.choices

    @property
    def wants_usage(self) -> bool:
        """Whether a stream ends with a usage chunk."""
        return self.stream_options is not None and self.stream_options.include_usage


class Part(Struct, frozen=True):
    """One part of a message's content."""

    type: str
    text: str | None = None
    refusal: str | None = None


class Message(Struct, frozen=True):
    """One turn of a conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[Part] | None = None


class ResponseFormat(Struct, frozen=True):
    """The form that the answer must take."""

    type: str


class ChatBody(SamplingFields, frozen=True, kw_only=True):
    """The body of POST /v1/chat/completions."""

    messages: Annotated[list[Message], Meta(min_length=1)]
    max_completion_tokens: _Count | None = None
    response_format: ResponseFormat | None = None
    tool_choice: Any = None

    @property
    def wanted_tokens(self) -> int | None:
        """The client's own limit; None for as many as fit."""
        return self.max_completion_tokens if self.max_completion_tokens is not None else self.max_tokens


class CompletionBody(SamplingFields, frozen=True, kw_only=True):
    """The body of POST /v1/completions."""

    prompt: str | list[str | int | list[int]] | None = None
    suffix: str | None = None
    echo: bool | None = None

    @property
    def wanted_tokens(self) -> int | None:
        """The client's own limit, else OpenAI's default."""
        return _COMPLETION_DEFAULT_TOKENS if self.max_tokens is None else self.max_tokens


class SamplingDefaults(Struct, frozen=True):
    """The model makers' recommendation, for requests that name no value."""

    temperature: float
    top_p: float


_BodyT = TypeVar("_BodyT", ChatBody, CompletionBody)


def decode_chat(body: bytes) -> ChatBody:
    """Decode and validate; RequestError names the field at fault."""
    chat = _matched(_decode(body, ChatBody))
    if chat.response_format is not None and chat.response_format.type != "text":
        raise _unsupported(f"response_format {chat.response_format.type!r}", "response_format")
    if chat.tool_choice not in (None, "none", "auto"):
        raise _unsupported("a forced tool call", "tool_choice")
    return chat


def decode_completion(body: bytes) -> CompletionBody:
    """Decode and validate; RequestError names the field at fault."""
    completion = _matched(_decode(body, CompletionBody))
    if isinstance(completion.delivered_text, list) and len(prompts(completion)) > 1:
        raise RequestError("a list goes with one prompt", param="delivered_text")
    if completion.suffix:
        raise _unsupported("a suffix", "suffix")
    if completion.echo:
        raise _unsupported("echo", "echo")
    return completion


def _matched(body: _BodyT) -> _BodyT:
    """There is a text for each answer, and an answer to be given."""
    given = body.delivered_text
    if isinstance(given, str) and given and body.choices > 1:
        raise RequestError("several answers want a list: a text for each, or null", param="delivered_text")
    if isinstance(given, list) and (len(given) != body.choices or given.count(None) == len(given)):
        raise RequestError("the list wants n items, at least one of them a text", param="delivered_text")
    return body


def plain_messages(messages: list[Message]) -> list[dict[str, str]]:
    """Messages with one text each, as chat templates take them.

    Raises:
        RequestError: a part is not text.

    """
    return [_plain(message, f"messages[{index}].content") for index, message in enumerate(messages)]


def prompts(completion: CompletionBody) -> list[str | list[int]]:
    """The prompts of a text completion: texts or lists of token ids.

    Raises:
        RequestError: neither a text, nor texts, nor token ids, nor lists of token ids; or too many.

    """
    prompt = completion.prompt
    if prompt is None or isinstance(prompt, str):
        return [prompt or ""]
    if prompt and all(isinstance(item, int) for item in prompt):
        return [[item for item in prompt if isinstance(item, int)]]
    several = [item for item in prompt if not isinstance(item, int)]
    if not prompt or len({type(item) for item in prompt}) != 1:
        raise RequestError("prompt must be a text, texts, token ids, or lists of token ids", param="prompt")
    if len(several) * completion.choices > MAX_CHOICES:
        raise RequestError(f"at most {MAX_CHOICES} choices may be asked for at once", param="prompt")
    return several


def sampling_params(
    body: ChatBody | CompletionBody,
    defaults: SamplingDefaults,
    *,
    room_tokens: int,
    seed: int,
    vocabulary_size: int,
    seam: Seam = NO_SEAM,
    answered: int = 0,
) -> SamplingParams:
    """How to sample one choice.

    Args:
        body: the request.
        defaults: for what it does not say.
        room_tokens: what the context has left after the prompt; max_tokens is clamped to it.
        seed: of this choice.
        vocabulary_size: bounds the token ids of logit_bias.
        seam: where the answer broke off, see `models.engine.healing`.
        answered: tokens of the answer that the client has; they count as part of it.

    Raises:
        RequestError: logit_bias names no token.

    """
    wanted = body.wanted_tokens
    stops = [body.stop] if isinstance(body.stop, str) else body.stop or []
    return SamplingParams(
        max_tokens=room_tokens if wanted is None else min(max(wanted - answered, 1), room_tokens),
        seed=llama_seed(seed),
        temperature=_given(body.temperature, defaults.temperature),
        top_p=_given(body.top_p, defaults.top_p),
        top_k=max(0, body.top_k or 0),
        min_p=body.min_p or 0.0,
        frequency_penalty=body.frequency_penalty or 0.0,
        presence_penalty=body.presence_penalty or 0.0,
        repeat_penalty=body.repeat_penalty or 1.0,
        logit_bias=_logit_bias(body.logit_bias or {}, vocabulary_size),
        stop=tuple(filter(None, stops)),
        grammar=body.grammar or "",
        ignore_end=bool(body.ignore_eos),
        healing=seam.due if body.grammar else seam.owed,
        kept=seam.kept if body.grammar else b"",
    )


def _decode(body: bytes, kind: type[_BodyT]) -> _BodyT:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `")
        param = _param(message, path)
        raise RequestError(f"Invalid '{param}': {message}" if param else message, param=param) from error
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise RequestError(f"We could not parse the JSON body of your request: {error}") from error


def _param(message: str, path: str) -> str | None:
    """The field at fault, from msgspec's "… - at `$.a[0].b`" (it gives the path in no other way)."""
    where = path.removesuffix("`").removeprefix("$").removeprefix(".")
    missing = re.search(r"required field `(\w+)`", message)
    return ".".join(filter(None, (where, missing[1] if missing else ""))) or None


def _plain(message: Message, param: str) -> dict[str, str]:
    role = {"developer": "system", "function": "tool"}.get(message.role, message.role)
    if isinstance(message.content, list):
        texts = [_part_text(part, f"{param}[{index}]") for index, part in enumerate(message.content)]
        return {"role": role, "content": "".join(texts)}
    return {"role": role, "content": message.content or ""}


def _part_text(part: Part, param: str) -> str:
    text = {"text": part.text, "refusal": part.refusal}.get(part.type)
    if part.type not in {"text", "refusal"}:
        raise RequestError(f"this model reads text only, not {part.type!r}", param=param, code="unsupported")
    if text is None:
        raise RequestError(f"a part of type {part.type!r} must have a field of that name", param=param)
    return text


def _logit_bias(biases: dict[str, float], vocabulary_size: int) -> dict[int, float]:
    # A foreign id would be written outside of the logits by llama.cpp.
    if not all(key.isascii() and key.isdigit() and int(key[:10]) < vocabulary_size for key in biases):
        raise RequestError(f"keys are token ids between 0 and {vocabulary_size - 1}", param="logit_bias")
    return {int(key): bias for key, bias in biases.items()}


def _given(value: float | None, default: float) -> float:
    return default if value is None else value


def _unsupported(what: str, param: str) -> RequestError:
    return RequestError(f"{what} is not supported by the local model yet", param=param, code="unsupported")
