r"""The regular expressions of JSON schemas (ECMA-262), as far as an automaton can follow them.

Where engines read a class in different ways (`\w` in Python knows all alphabets), the narrow reading counts, and the
wide one where it is excluded: what a grammar made of it writes matches everywhere.
"""

import re
from dataclasses import dataclass
from typing import Final

from models.schema import charset
from models.schema.charset import CharSet
from models.schema.expression import Expression, Expressions

MAX_LENGTH: Final = 2_000
MAX_NESTING: Final = 40


class PatternUnsupported(Exception):
    """Not a regular expression, or one with something in it that no automaton follows; the message says what."""


@dataclass(frozen=True, slots=True)
class _Class:
    """A character class as its narrowest and its widest reader understand it."""

    narrow: CharSet
    wide: CharSet

    def inverted(self) -> "_Class":
        return _Class(charset.complement(self.wide), charset.complement(self.narrow))


def _single(char: str) -> _Class:
    members = charset.chars(char)
    return _Class(members, members)


_DIGIT: Final = charset.of([(0x30, 0x39)])
_WORD: Final = charset.of([(0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)])
_BLANK: Final = charset.chars(" \t\n\r\f\v")
_BLANK_SOMEWHERE: Final = charset.of(
    [
        *((0x1C, 0x1F), (0x2000, 0x200A), (0x2028, 0x2029)),
        *((code, code) for code in (0x85, 0xA0, 0x1680, 0x202F, 0x205F, 0x3000, 0xFEFF)),
    ]
)
_LETTERS: Final = {
    "d": _Class(_DIGIT, charset.union(_DIGIT, ((0x660, charset.LAST),))),
    "w": _Class(_WORD, charset.union(_WORD, ((0x80, charset.LAST),))),
    "s": _Class(_BLANK, charset.union(_BLANK, _BLANK_SOMEWHERE)),
}
_CLASSES: Final = _LETTERS | {letter.upper(): one.inverted() for letter, one in _LETTERS.items()}
_NOT_DOT: Final = _Class(charset.chars("\n"), charset.chars("\n\r\u2028\u2029"))
_ESCAPES: Final = {"t": "\t", "n": "\n", "r": "\r", "f": "\f", "v": "\v", "0": "\0"}
_CODE: Final = re.compile(r"x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|u\{([0-9a-fA-F]{1,6})\}")
_COUNT: Final = re.compile(r"\{(\d{1,6})(?:(,)(\d{1,6})?)?\}")
_TIMES: Final = {"*": (0, None), "+": (1, None), "?": (0, 1)}
_GROUP: Final = re.compile(r"\?:|\?P?<[A-Za-z_]\w*>")


def expression(source: str, make: Expressions) -> Expression:
    """All texts that a pattern finds a match in.

    Raises:
        PatternUnsupported: it cannot be followed.

    """
    if len(source) > MAX_LENGTH:
        raise PatternUnsupported(f"is longer than {MAX_LENGTH} characters")
    return _Parser(source, make).whole()


class _Parser:
    def __init__(self, source: str, make: Expressions) -> None:
        self._source = source
        self._make = make
        self._at = 0
        self._depth = 0
        self._is_negated = False

    def whole(self) -> Expression:
        found = self._search()
        while self._take("|"):
            found = self._make.any_of(found, self._search())
        if self._at < len(self._source):
            raise PatternUnsupported("closes a group that was not opened")
        return found

    def _search(self) -> Expression:
        """An alternative of the whole pattern: here alone an anchor means something that can be followed."""
        before = self._make.empty if self._take("^") else self._make.anything
        ahead = []
        while self._source.startswith(("(?=", "(?!"), self._at):
            ahead.append(self._look())
        body = self._sequence()
        after = self._make.empty if self._take("$") else self._make.anything
        return self._make.cat(before, self._make.all_of(*ahead, self._make.cat(body, after)))

    def _look(self) -> Expression:
        is_negative = self._source[self._at + 2] == "!"
        self._at += 3
        self._is_negated ^= is_negative
        body = self._alternatives()
        end = self._make.empty if self._take("$") else self._make.anything
        self._is_negated ^= is_negative
        self._expect(")")
        seen = self._make.cat(body, end)
        return self._make.none_of(seen) if is_negative else seen

    def _alternatives(self) -> Expression:
        self._depth += 1
        if self._depth > MAX_NESTING:
            raise PatternUnsupported(f"nests more than {MAX_NESTING} groups")
        options = [self._sequence()]
        while self._take("|"):
            options.append(self._sequence())
        self._depth -= 1
        return self._make.any_of(*options)

    def _sequence(self) -> Expression:
        parts = []
        while self._at < len(self._source) and self._source[self._at] not in "|)$":
            parts.append(self._repeated(self._atom()))
        return self._make.cat(*parts)

    def _repeated(self, body: Expression) -> Expression:
        least, most = self._times()
        if most is not None and most < least:
            raise PatternUnsupported("has a repetition whose maximum is below its minimum")
        if (least, most) != (1, 1):
            self._take("?")
            if self._at < len(self._source) and self._source[self._at] in "*+?":
                raise PatternUnsupported("repeats a repetition; put the inner one in a group")
        return self._make.repeat(body, least, most)

    def _times(self) -> tuple[int, int | None]:
        count = _COUNT.match(self._source, self._at)
        if count is not None:
            self._at = count.end()
            least = int(count[1])
            return least, (int(count[3]) if count[3] else None) if count[2] else least
        mark = self._source[self._at : self._at + 1]
        if mark not in _TIMES:
            return 1, 1
        self._at += 1
        return _TIMES[mark]

    def _atom(self) -> Expression:
        char = self._next()
        if char == "(":
            return self._group()
        if char == "[":
            return self._chars(self._bracket())
        if char == ".":
            return self._chars(_NOT_DOT.inverted())
        if char == "\\":
            return self._chars(self._escape())
        if char in "^*+?":
            raise PatternUnsupported(f"has a {char} in the middle; an anchor may stand at its beginning and end only")
        return self._chars(_single(char))

    def _chars(self, one: _Class) -> Expression:
        return self._make.chars(one.wide if self._is_negated else one.narrow)

    def _group(self) -> Expression:
        named = _GROUP.match(self._source, self._at)
        if named is not None:
            self._at = named.end()
        elif self._take("?"):
            raise PatternUnsupported("has a group of a kind that is not supported here (look-around, flags)")
        body = self._alternatives()
        self._expect(")")
        return body

    def _bracket(self) -> _Class:
        is_inverted = self._take("^")
        narrow: list[CharSet] = []
        wide: list[CharSet] = []
        while not self._take("]"):
            one = self._range()
            narrow.append(one.narrow)
            wide.append(one.wide)
        whole = _Class(charset.union(*narrow), charset.union(*wide))
        return whole.inverted() if is_inverted else whole

    def _range(self) -> _Class:
        low = self._member()
        if not self._source.startswith("-", self._at) or self._source.startswith("-]", self._at):
            return low
        self._at += 1
        high = self._member()
        if _size(low) != 1 or _size(high) != 1 or low.narrow[0][0] > high.narrow[0][0]:
            raise PatternUnsupported("has a range of characters that is none")
        span = ((low.narrow[0][0], high.narrow[0][0]),)
        return _Class(span, span)

    def _member(self) -> _Class:
        char = self._next()
        if char != "\\":
            return _single(char)
        return _single("\b") if self._take("b") else self._escape()

    def _escape(self) -> _Class:
        code = _CODE.match(self._source, self._at)
        if code is not None:
            self._at = code.end()
            point = int(code[1] or code[2] or code[3], 16)
            if point > charset.LAST:
                raise PatternUnsupported("names a character that does not exist")
            return _Class(((point, point),), ((point, point),))
        letter = self._next()
        if letter in _CLASSES:
            return _CLASSES[letter]
        if letter.isalnum() and letter not in _ESCAPES:
            raise PatternUnsupported(f"has \\{letter}, which is not supported here")
        return _single(_ESCAPES.get(letter, letter))

    def _next(self) -> str:
        if self._at >= len(self._source):
            raise PatternUnsupported("ends too early")
        self._at += 1
        return self._source[self._at - 1]

    def _take(self, char: str) -> bool:
        if not self._source.startswith(char, self._at):
            return False
        self._at += 1
        return True

    def _expect(self, char: str) -> None:
        if not self._take(char):
            raise PatternUnsupported(f"lacks a {char}, or has an anchor inside a group")


def _size(one: _Class) -> int:
    return sum(high - low + 1 for low, high in one.narrow)
