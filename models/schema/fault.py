"""What is wrong with a schema, and where in it."""

from typing import Final

_LONGEST_POINTER: Final = 200


class Fault(Exception):
    """A schema that is no schema, or one that no grammar here can promise to keep.

    It says where in the schema; whoever knows where in the request the schema stands makes an answer of it.

    Args:
        pointer: JSON pointer to the part at fault; empty for the whole.
        reason: what about it, and what to do, as a sentence without its full stop.

    """

    def __init__(self, pointer: str, reason: str) -> None:
        super().__init__(reason)
        self.pointer = pointer
        self.reason = reason

    def __str__(self) -> str:
        return f"at #{self.pointer[:_LONGEST_POINTER]}: {self.reason}"


def below(pointer: str, *keys: str | int) -> str:
    """The pointer to what stands under these keys."""
    return pointer + "".join("/" + str(key).replace("~", "~0").replace("/", "~1") for key in keys)
