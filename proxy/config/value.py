"""The values of a configuration that deserve more than a string: secrets, addresses, URLs."""

import ipaddress
from dataclasses import dataclass
from typing import NamedTuple, final


@final
class Secret:
    """A text that no log, traceback or status page may show. Only `reveal()` gives it; an empty one is false."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(***)"

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash((Secret, self._text))


class Address(NamedTuple):
    """Where to listen. An empty host is every interface, port 0 is one that the system picks."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it. A name other than localhost is taken as reachable."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


@dataclass(frozen=True, slots=True)
class Url:
    """The base of an OpenAI-compatible API: `http(s)://host[:port][/path]` or `unix:///path.sock`.

    Has no user, query or fragment, and no slash at its end; `str()` gives the text.
    """

    scheme: str
    host: str
    """Lower case, IPv6 without brackets; empty for unix."""
    port: int
    """The one in use, so 443 for a bare https; 0 for unix."""
    path: str
    """What follows the host, as in `/v1`; for unix the path of the socket."""
    text: str

    def __str__(self) -> str:
        return self.text

    @property
    def origin(self) -> str:
        """Scheme, host and port: whom a request reaches, whatever its path. For unix the socket."""
        if self.scheme == "unix":
            return f"unix://{self.path}"
        return f"{self.scheme}://{Address(self.host, self.port)}"
