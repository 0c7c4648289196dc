"""The exceptions that cross rooms.

    HotspareError
    ├── ConfigInvalid      (config)     the configuration file cannot be used; carries every fault
    ├── RequestInvalid     (here)       the client's request cannot be served; becomes an OpenAI-shaped error
    └── AttemptFailed      (upstreams)  one exchange with one upstream failed; carries its Outcome

Whoever raises one of these knows who is at fault; nobody has to read its text to find out.
"""


class HotspareError(Exception):
    """Base of everything this project raises on purpose."""


class RequestInvalid(HotspareError):
    """The client's request is at fault.

    Shaped like the error objects of the OpenAI API reference: `message`, `type`, `param`, `code`.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        param: str | None = None,
        code: str | None = None,
        closes: bool = False,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.param = param
        self.code = code
        self.closes = closes
        """The rest of the request was not read, so the connection cannot carry another one."""
