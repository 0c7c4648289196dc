"""Grammars in llama.cpp's notation (GBNF), rule by rule.

A rule is a list of alternatives, an alternative a list of elements, and an element one of

- a terminal, written as GBNF writes it: ``"text"`` or ``[a-z]``;
- the name of a rule, perhaps with how often: ``digit``, ``digit{1,18}``, ``char*``.

llama.cpp follows all readings of a text at once, and compares each with all others. So rules are made to be read in one
way: alternatives begin differently, and what begins alike is factored out (`RuleBook.choice`).
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from models.schema.pruning import Alternative, Alternatives, pruned

# llama.cpp takes at most 2,000 repetitions for a limit that is meant, and writes out each of them.
_BLOCK: Final = 128

# What a terminal cannot hold as it is, or what looks like something else there.
_SPECIAL: Final = re.compile(r"[^ !#-\[\]-~\u00a1-\ud7ff\ue000-\ufffd]")

# JSON with little room for blanks, because a model that is fond of them would write nothing else; but with what
# pretty-printing needs, because what another model has begun is to be gone on with, and because each token that a small
# model likes and a grammar refuses costs a look at all others. Digits have ends for the same reason: whole numbers stay
# within 64 bits. Escapes spell no half of a surrogate pair alone.
_JSON: Final = r"""
ws = | "\x20" | "\n" indent{0,40}
indent = [\x20\t]
sp = | "\x20"
digit = [0-9]
hex = [0-9a-fA-F]
char = [\x20-\x21\x23-\x5B\x5D-\x7E\x80-\uD7FF\uE000-\U0010FFFF] | "\\" escape
escape = ["\\/bfnrt] | "u" unit
unit = [0-9abcefABCEF] hex{3} | [dD] half
half = [0-7] hex{2} | [89abAB] hex{2} "\\u" [dD] [c-fC-F] hex{2}
string = "\"" char* "\""
natural = "0" | [1-9] digit{0,17}
minus = | "-"
integer = minus natural
fraction = | "." digit{1,16}
exponent = | [eE] sign digit{1,2}
sign = | [+-]
number = minus natural fraction exponent
value = object | array | string | number | "true" | "false" | "null"
object = "{" ws members
members = "}" | member more-members
more-members = ws "}" | "," ws member more-members
member = string ":" sp value
array = "[" ws elements
elements = "]" | value more-elements
more-elements = ws "]" | "," ws value more-elements
"""


def literal(text: str) -> str:
    """The terminal that spells a text."""
    return '"' + _SPECIAL.sub(_spelled, text) + '"'


def _spelled(special: re.Match[str]) -> str:
    char = special[0]
    return "\\" + char if char in '"\\' else f"\\U{ord(char):08X}"


class RuleBook:
    """Rules that are being collected. Equal ones are kept once.

    Attributes:
        forks: rules whose alternatives may be followed at once through more than their beginnings.
        size: elements of all rules.

    """

    def __init__(self) -> None:
        self._rules: dict[str, Alternatives] = dict(_standard())
        self._names: dict[tuple[tuple[str, ...], ...], str] = {}
        self._pruned: dict[str, Mapping[str, Alternatives]] = {}
        self.forks: set[str] = set()
        self.size = 0
        self._next = 0

    def literal(self, text: str) -> str:
        """The terminal that spells a text."""
        return literal(text)

    def fresh(self) -> str:
        """A name for a rule that is still to be defined."""
        self._next += 1
        return f"r{self._next}"

    def define(self, name: str, *alternatives: Alternative) -> None:
        """Say what a name stands for; nothing where there is no alternative."""
        self._rules[name] = alternatives
        self._pruned.clear()
        self.size += sum(map(len, alternatives))

    def add(self, *alternatives: Alternative) -> str:
        """The name of a rule."""
        key = tuple(map(tuple, alternatives))
        name = self._names.get(key)
        if name is None:
            name = self._names[key] = self.fresh()
            self.define(name, *key)
        return name

    def fork(self, *alternatives: Alternative) -> str:
        """The name of a rule whose alternatives are not told apart by how they begin."""
        name = self.add(*alternatives)
        if len(alternatives) > 1:
            self.forks.add(name)
        return name

    def choice(self, tails: Mapping[str, Alternative]) -> str:
        """The name of a rule for one of several texts, each with what follows it; one reading, whatever they share."""
        root = self.fresh()
        queue = [(root, sorted(tails.items()))]
        for name, items in queue:
            alternatives = []
            for group in _by_first(items):
                shared = _shared(group[0][0], group[-1][0])
                if len(group) == 1:
                    alternatives.append([literal(shared), *group[0][1]] if shared else list(group[0][1]))
                else:
                    inner = self.fresh()
                    queue.append((inner, [(text[len(shared) :], tail) for text, tail in group]))
                    alternatives.append([literal(shared), inner])
            self.define(name, *alternatives)
        return root

    def counted(self, item: str, least: int, most: int | None) -> list[str]:
        """The elements for `least` to `most` of a rule that reads one character, or something as short."""
        parts = self._exactly(item, least)
        if most is None:
            return [*parts, f"{item}*"]
        return parts if most == least else [*parts, self._up_to(item, most - least)]

    def _exactly(self, item: str, count: int) -> list[str]:
        blocks, rest = divmod(count, _BLOCK)
        parts = [f"{self.add([f'{item}{{{_BLOCK}}}'])}{{{blocks}}}"] if blocks else []
        return [*parts, f"{item}{{{rest}}}"] if rest else parts

    def _up_to(self, item: str, count: int) -> str:
        """Whole blocks and then a part of one: two readings, of which one ends with the block."""
        blocks, rest = divmod(count, _BLOCK)
        if not blocks:
            return f"{item}{{0,{rest}}}"
        block, part = self.add([f"{item}{{{_BLOCK}}}"]), self.add([f"{item}{{0,{_BLOCK - 1}}}"])
        level = self.add([f"{item}{{0,{rest}}}"] if rest else [])
        for _ in range(blocks):
            level = self.add([block, level], [part])
        return level

    def reachable(self, root: str) -> Mapping[str, Alternatives]:
        """The rules that a text may follow, less the alternatives that no text with an end follows."""
        if root not in self._pruned:
            self._pruned[root] = pruned(self._rules, root)
        return self._pruned[root]

    def text(self, root: str) -> str:
        """The grammar of a rule: GBNF whose first rule is `root`."""
        lines = [f"{name} ::= {_body(body)}" for name, body in self.reachable(root).items()]
        return "\n".join([f"root ::= {root}", *lines, ""])


def _body(alternatives: Alternatives) -> str:
    # No elements are spelled as an empty text: behind a bar at the end of a line llama.cpp reads on in the next one.
    return " | ".join([" ".join(parts) or '""' for parts in alternatives])


def _by_first(items: Sequence[tuple[str, Alternative]]) -> Iterator[list[tuple[str, Alternative]]]:
    """Sorted texts, in groups that begin with the same character."""
    group: list[tuple[str, Alternative]] = []
    for item in items:
        if group and item[0][:1] != group[0][0][:1]:
            yield group
            group = []
        group.append(item)
    if group:
        yield group


def _shared(a: str, b: str) -> str:
    """What two texts begin with: the longest, by halves, since texts are compared faster than characters."""
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if a[:middle] == b[:middle] else (low, middle - 1)
    return a[:low]


def _standard() -> Iterable[tuple[str, Alternatives]]:
    for line in _JSON.split("\n"):
        name, _, body = line.partition(" = ")
        if body:
            yield name, [part.split() for part in body.split("|")]
