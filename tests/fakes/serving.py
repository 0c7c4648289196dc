"""Correct answers: what a healthy upstream does with each path."""

from dataclasses import dataclass

from tests.fakes import answers
from tests.fakes.answers import Completion
from tests.fakes.http import Headers
from tests.fakes.spoken import Spoken
from tests.fakes.steps import Body, Call, Head, Pause, Play

JSON = "application/json"
EVENT_STREAM = "text/event-stream; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Document:
    """A body that is sent whole, with its length."""

    content_type: str
    body: bytes
    headers: Headers = ()


def serve(call: Call) -> Play:
    """The play of a correct answer."""
    completion = completion_of(call)
    if completion and is_streamed(call):
        return stream(call, completion, call.settings.gap_seconds)
    return send(call, document_of(call))


def completion_of(call: Call) -> Completion | None:
    """The completion that a request asks for, or None if it asks for something else."""
    request, settings = call.request, call.settings
    if request.method != "POST" or request.path not in (answers.CHAT_PATH, answers.COMPLETIONS_PATH):
        return None
    fields = request.fields()
    if settings.answers and request.path == answers.CHAT_PATH and fields.get("stream"):
        return Spoken(call.number, fields, True, (), "", answers=settings.answers, habit=settings.habit)
    return answers.completion(call.number, request.path, fields, settings.words, settings.tool_call)


def is_streamed(call: Call) -> bool:
    """Whether the client asked for a completion as a stream."""
    return completion_of(call) is not None and bool(call.request.fields().get("stream"))


def document_of(call: Call) -> Document:
    """The whole answer to a request that is not streamed."""
    request = call.request
    if completion := completion_of(call):
        return Document(JSON, answers.encode(completion.whole(completion.finish_reason)))
    if (request.method, request.path) == ("POST", answers.EMBEDDINGS_PATH):
        return Document(JSON, answers.encode(answers.embeddings(request.fields(), call.settings.dimensions)))
    if (request.method, request.path) == ("GET", answers.MODELS_PATH):
        return Document(JSON, answers.encode(answers.models()))
    return echo(call)


def echo(call: Call) -> Document:
    """The request's own body and content type, for paths that the upstream has no answer of its own to."""
    request = call.request
    seen = (("x-echo-method", request.method), ("x-echo-target", request.target))
    return Document(request.header("content-type") or "application/octet-stream", request.body, seen)


def send(call: Call, document: Document, status: int = 200) -> Play:
    """Head and body at once."""
    yield document_head(call, document, status)
    yield Body(document.body)


def document_head(call: Call, document: Document, status: int = 200) -> Head:
    """The head of a body with a known length."""
    length = ("content-length", str(len(document.body)))
    return Head(status, [("content-type", document.content_type), length, *common_headers(call), *document.headers])


def chunked_head(call: Call, content_type: str) -> Head:
    """The head of a body whose length is not known beforehand."""
    return Head(200, [("content-type", content_type), ("transfer-encoding", "chunked"), *common_headers(call)])


def common_headers(call: Call) -> Headers:
    """What OpenAI puts on every answer."""
    return [
        ("openai-processing-ms", "7"),
        ("openai-version", "2020-10-01"),
        ("x-request-id", f"req_fake_{call.number}"),
    ]


def stream(call: Call, completion: Completion, gap_seconds: float) -> Play:
    """A whole stream, with a gap before each piece of content, and the usual one before what ends it."""
    yield from _begin(call, completion, len(completion.pieces), gap_seconds)
    for event in (*completion.closing(), answers.DONE):
        yield Pause(call.settings.gap_seconds)
        yield Body(event)


def begin(call: Call, completion: Completion, pieces: int) -> Play:
    """The head, the role and the first pieces of a stream."""
    return _begin(call, completion, pieces, call.settings.gap_seconds)


def _begin(call: Call, completion: Completion, pieces: int, gap_seconds: float) -> Play:
    yield chunked_head(call, EVENT_STREAM)
    yield from (Body(event) for event in completion.opening())
    for piece in completion.pieces[:pieces]:
        yield Pause(gap_seconds)
        yield from (Body(event) for event in completion.piece(piece))
