"""Everything that can go wrong, as one tree.

::

    ModelsError                     message says what happened and what to do about it
    ├── UsageError                  the command line is wrong                            exit 2
    ├── SetupError                  no model can be served until someone acts            exit 3
    │   ├── CatalogInvalid          the user's own catalogue says what cannot be meant
    │   ├── ModelUnknown            no such name in the catalogue
    │   ├── ModelAbsent             known, but the file is not here
    │   ├── DownloadFailed          could not be fetched
    │   ├── FileCorrupt             fetched or found, but not the promised bytes
    │   ├── LoadFailed              llama.cpp refused it, or would have to
    │   └── ListenFailed            the socket or port cannot be had
    ├── ConversionError             a file stays in its slow format; it is served as it is
    │   ├── HeaderInvalid           no GGUF file, or a damaged one
    │   │   └── HeaderUnknown       newer than what is known here
    │   └── ConversionFailed        could not be read, written or computed
    ├── EngineError                 a sequence ended without its answer
    │   ├── Overloaded              turned away before any work; safe to retry later     503
    │   ├── DecodeFailed            llama.cpp refused this step                          500
    │   └── EngineFailed            the engine itself is gone or going                   500
    └── RequestError                the client's mistake, or not served here             4xx
        ├── GrammarInvalid          not a grammar, or one that would take too much       400
        ├── SchemaInvalid           not a JSON schema, or one that cannot be promised    400
        ├── DeliveredTextUnfit      no answer to this grammar begins with this text      400
        └── NotReady                still loading                                        503
"""

from typing import Final

EXIT_OK: Final = 0
EXIT_CRASHED: Final = 1
EXIT_USAGE: Final = 2
EXIT_SETUP: Final = 3


class ModelsError(Exception):
    """Base of all errors raised on purpose by this package."""


class UsageError(ModelsError):
    """The command line asks for something that makes no sense."""


class SetupError(ModelsError):
    """A lasting fault: starting again without a change would fail in the same way."""


class CatalogInvalid(SetupError):
    """The user's own catalogue says what cannot be meant; the message has a line for each fault."""


class ModelUnknown(SetupError):
    """The catalogue has no model of this name."""


class ModelAbsent(SetupError):
    """The model is known, but its file is not on this machine."""


class DownloadFailed(SetupError):
    """The file could not be fetched."""


class FileCorrupt(SetupError):
    """The bytes are not those that the catalogue promises."""


class LoadFailed(SetupError):
    """llama.cpp could not make a working model out of the file."""


class ListenFailed(SetupError):
    """The socket or port to listen on cannot be had."""


class ConversionError(ModelsError):
    """A file stays in the format that it has. It can be served all the same."""


class HeaderInvalid(ConversionError):
    """What the file says of itself is not understood; the message goes on behind the file's name."""


class HeaderUnknown(HeaderInvalid):
    """The file says something that is not known here. A llama.cpp that is newer than this list may know it."""


class ConversionFailed(ConversionError):
    """The converted file could not be made."""


class EngineError(ModelsError):
    """A sequence ended without its answer; nobody but this sequence is concerned."""


class Overloaded(EngineError):
    """The sequence was turned away before any work was done for it: a later retry is safe.

    Args:
        message: what was full, or which time ran out.
        retry_after_seconds: when a new attempt makes sense.

    """

    def __init__(self, message: str, retry_after_seconds: int) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class DecodeFailed(EngineError):
    """llama_decode refused a step.

    Args:
        code: its return value: 1 no room in the cache, -1 invalid batch, 2 aborted, below -1 fatal.

    """

    def __init__(self, code: int) -> None:
        super().__init__(f"the local model could not process this request (llama_decode returned {code})")
        self.code = code

    @property
    def is_full(self) -> bool:
        """Whether the cache had no room for the step."""
        return self.code == 1

    @property
    def is_fatal(self) -> bool:
        """Whether the context is left in an unknown state and has to be rebuilt."""
        return self.code < -1


class EngineFailed(EngineError):
    """The engine has stopped; the process is about to end."""


class RequestError(ModelsError):
    """A request that is answered with an error, in OpenAI's terms.

    Args:
        message: for the person who reads the client's log.
        status: HTTP status.
        param: the field at fault, e.g. ``messages[0].content``.
        code: OpenAI's machine-readable code, e.g. ``context_length_exceeded``.

    """

    kind = "invalid_request_error"

    def __init__(self, message: str, *, status: int = 400, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.param = param
        self.code = code


class GrammarInvalid(RequestError):
    """A grammar that no answer can be made to follow.

    Args:
        reason: what about it, as the end of a sentence about the grammar.

    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"the grammar {reason}", param="grammar", code="invalid_grammar")


class SchemaInvalid(RequestError):
    """A JSON schema that no answer can be promised to be valid against.

    Args:
        subject: which schema, e.g. ``response_format 'person'``.
        reason: where in it and why, as a sentence without its full stop.
        param: the field of the request that it stands in.

    """

    def __init__(self, subject: str, reason: str, *, param: str) -> None:
        super().__init__(f"Invalid schema for {subject}: {reason}.", param=param)


class DeliveredTextUnfit(RequestError):
    """An answer that is to follow a grammar has begun with something else."""

    def __init__(self) -> None:
        super().__init__(
            "the delivered text is not the beginning of any text that follows the grammar",
            param="delivered_text",
            code="invalid_delivered_text",
        )


class NotReady(RequestError):
    """The model is still being fetched, loaded or warmed, or the process is about to end."""

    kind = "server_error"
    retry_after_seconds = 1

    def __init__(self, phase: str) -> None:
        state = "stopping" if phase == "stopping" else f"still loading ({phase})"
        super().__init__(f"the local model is {state}", status=503, code="loading")
