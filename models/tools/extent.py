"""Where a JSON value ends."""


class JsonExtent:
    """Finds the end of a JSON object or array in a growing text."""

    __slots__ = ("_depth", "_is_escaped", "_is_string", "is_complete")

    def __init__(self) -> None:
        self._depth = 0
        self._is_string = False
        self._is_escaped = False
        self.is_complete = False

    def feed(self, text: str) -> int:
        """Take more text; returns how much of it belongs to the value."""
        for place, character in enumerate(text):
            self._take(character)
            if self.is_complete:
                return place + 1
        return len(text)

    def _take(self, character: str) -> None:
        if self._is_escaped:
            self._is_escaped = False
        elif self._is_string:
            self._is_escaped = character == "\\"
            self._is_string = character != '"'
        elif character == '"':
            self._is_string = True
        elif character in "{[":
            self._depth += 1
        elif character in "}]":
            self._depth -= 1
            self.is_complete = self._depth <= 0
