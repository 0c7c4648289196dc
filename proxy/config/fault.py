"""What is wrong with a configuration file, and what to do about it."""

from dataclasses import dataclass

from proxy.errors import HotspareError


@dataclass(frozen=True, slots=True)
class Fault:
    """One mistake: where it stands, what it is, how to mend it.

    Reads "config.yaml:12: upstreams[0].timeouts.connect: '2 parsecs' is not a duration; write …".
    """

    file: str
    line: int | None
    """1-based; None if the fault is the file itself."""
    key: str
    """The path of the key, as in `upstreams[0].base_url`; empty for the whole document."""
    problem: str
    remedy: str

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        subject = f"{self.key}: " if self.key else ""
        return f"{place}: {subject}{self.problem}; {self.remedy}"


class ConfigInvalid(HotspareError):
    """The configuration cannot be used. `faults` has every reason in the order of the file, `str()` a line for each."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__("\n".join(map(str, faults)))
        self.faults = faults
