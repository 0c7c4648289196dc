"""A small reader of GBNF that works as llama.cpp does: it follows all readings of a text at once."""

import random
import re
from dataclasses import dataclass, field

# A character: ranges of code points. A string is the name of a rule.
Element = tuple[tuple[int, int], ...] | str
# What is still to come: elements, nested from the innermost rule outwards.
Stack = tuple[tuple[Element, ...], ...]

WORD = re.compile(
    r"""(?P<literal>"(?:\\.|[^"\\])*") | (?P<chars>\[(?:\\.|[^\]\\])*\]) | (?P<name>[A-Za-z][\w-]*)
      | (?P<times>[*?]|\{\d+(?:,\d*)?\}) | (?P<bar>\|)""",
    re.VERBOSE,
)
CHAR = re.compile(r"\\x(..)|\\u(....)|\\U(.{8})|\\(.)|(.)", re.DOTALL)
NAMED = {"n": "\n", "r": "\r", "t": "\t"}


def _codes(spelled: str) -> list[int]:
    return [
        int(code, 16) if (code := one[1] or one[2] or one[3]) else ord(NAMED.get(one[4], one[4]) if one[4] else one[5])
        for one in CHAR.finditer(spelled)
    ]


def _ranges(spelled: str) -> tuple[tuple[int, int], ...]:
    found, pieces = [], [one[0] for one in CHAR.finditer(spelled)]
    while pieces:
        low = _codes(pieces.pop(0))[0]
        high = low
        if len(pieces) > 1 and pieces[0] == "-":
            high = _codes(pieces[1])[0]
            del pieces[:2]
        found.append((low, high))
    return tuple(found)


@dataclass
class Notation:
    """The rules of a grammar."""

    rules: dict[str, list[tuple[Element, ...]]] = field(default_factory=dict)

    @classmethod
    def of(cls, text: str) -> "Notation":
        notation = cls()
        for line in text.splitlines():
            name, _, body = line.partition(" ::= ")
            notation.rules[name] = notation._alternatives(name, body)
        return notation

    def _alternatives(self, name: str, body: str) -> list[tuple[Element, ...]]:
        alternatives: list[list[Element]] = [[]]
        last = 0
        for word in WORD.finditer(body):
            parts = alternatives[-1]
            if word["bar"]:
                alternatives.append([])
            elif word["times"]:
                parts[last:] = self._repeated(name, tuple(parts[last:]), word["times"])
            else:
                last = len(parts)
                parts += self._elements(word)
        return [tuple(parts) for parts in alternatives]

    def _elements(self, word: re.Match[str]) -> list[Element]:
        if word["literal"]:
            return [((code, code),) for code in _codes(word["literal"][1:-1])]
        return [_ranges(word["chars"][1:-1])] if word["chars"] else [word["name"]]

    def _repeated(self, name: str, item: tuple[Element, ...], times: str) -> list[Element]:
        least, most = {"*": (0, None), "?": (0, 1)}.get(times) or self._count(times)
        rest: tuple[Element, ...] = ()
        if most is None:
            again = f"{name}.{len(self.rules)}"
            self.rules[again] = [(*item, again), ()]
            rest = (again,)
        for _ in range(most - least if most is not None else 0):
            more = f"{name}.{len(self.rules)}"
            self.rules[more] = [(*item, *rest), ()]
            rest = (more,)
        return [*(item * least), *rest]

    def _count(self, times: str) -> tuple[int, int | None]:
        least, comma, most = times[1:-1].partition(",")
        return int(least), (int(most) if most else None) if comma else int(least)

    def start(self) -> set[Stack]:
        return self._expanded({(("root",),)})

    def after(self, stacks: set[Stack], char: str) -> set[Stack]:
        code = ord(char)
        moved = set()
        for stack in stacks:
            if stack and any(low <= code <= high for low, high in stack[-1][0]):
                moved.add(self._popped(stack))
        return self._expanded(moved)

    def accepts(self, text: str) -> bool:
        stacks = self.start()
        for char in text:
            stacks = self.after(stacks, char)
        return () in stacks

    def readings(self, text: str) -> int:
        """The most readings that there are at once, on the way through a text."""
        stacks, most = self.start(), 0
        for char in text:
            most = max(most, len(stacks))
            stacks = self.after(stacks, char)
        return most

    def _popped(self, stack: Stack) -> Stack:
        rest = stack[-1][1:]
        return (*stack[:-1], rest) if rest else stack[:-1]

    def _expanded(self, stacks: set[Stack]) -> set[Stack]:
        """Until each begins with a character, or is at its end."""
        found, queue = set(), list(stacks)
        while queue:
            stack = queue.pop()
            if not stack or not isinstance(stack[-1][0], str):
                found.add(stack)
                continue
            outer = self._popped(stack)
            queue += [(*outer, body) if body else outer for body in self.rules[stack[-1][0]]]
        return found

    def sample(self, chance: random.Random, *, patience: int = 200) -> str:
        """A text that follows the grammar; after so many characters, one that ends soon."""
        short = self._shortest()
        text: list[str] = []
        queue: list[Element] = ["root"]
        while queue:
            element = queue.pop()
            if not isinstance(element, str):
                text.append(_drawn(element, chance))
                continue
            options = self.rules[element]
            if len(text) > patience:
                options = sorted(options, key=lambda body: _length(body, short))[:1]
            queue.extend(reversed(chance.choice(options)))
        return "".join(text)

    def _shortest(self) -> dict[str, int]:
        """How deep each rule has to nest until it ends."""
        known: dict[str, int] = {}
        depth = 0
        while len(known) < len(self.rules):
            depth += 1
            fresh = [
                name
                for name, options in self.rules.items()
                if name not in known and any(_length(body, known) < 1 << 30 for body in options)
            ]
            assert fresh, "some rules have no end"
            known.update(dict.fromkeys(fresh, depth))
        return known


def _length(body: tuple[Element, ...], known: dict[str, int]) -> int:
    return max((known.get(one, 1 << 30) for one in body if isinstance(one, str)), default=0)


def _drawn(ranges: tuple[tuple[int, int], ...], chance: random.Random) -> str:
    low, high = chance.choice(ranges)
    while True:
        code = chance.randint(low, min(high, low + 300) if chance.random() < 0.8 else high)
        if not 0xD800 <= code <= 0xDFFF:
            return chr(code)
