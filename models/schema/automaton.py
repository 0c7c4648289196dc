"""Automata that read a text in one way: for each state what may follow, and where that leads."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from models.schema import charset
from models.schema.charset import CharSet
from models.schema.expression import AllOf, AnyOf, Cat, Chars, Expression, Expressions, Not, Repeat, TooComplex

MAX_STATES: Final = 1_500


@dataclass(frozen=True, slots=True)
class State:
    """Where a text may stand.

    Args:
        moves: disjoint sets of characters, each with the index of the state it leads to.
        is_final: whether the text may end here.

    """

    moves: tuple[tuple[CharSet, int], ...]
    is_final: bool


def automaton(whole: Expression, make: Expressions, alphabet: CharSet = charset.TEXT) -> list[State]:
    """The states of an expression over an alphabet; the first one is where a text begins.

    States that lead nowhere are left out; there is no state at all where nothing matches.

    Raises:
        TooComplex: they are too many.

    """
    letters = charset.classes(_sets(whole), alphabet)
    numbers = {whole: 0}
    found: list[list[tuple[CharSet, int]]] = []
    queue = [whole]
    for state in queue:
        moves = []
        for letter in letters:
            target = make.after(state, letter[0][0])
            if target is not make.nothing:
                if target not in numbers:
                    numbers[target] = len(queue)
                    queue.append(target)
                moves.append((letter, numbers[target]))
        found.append(moves)
        if len(queue) > MAX_STATES:
            raise TooComplex
    return _trimmed(found, [state.is_nullable for state in queue])


def matches(states: Sequence[State], text: str) -> bool:
    """Whether an automaton accepts a text."""
    at = 0
    for char in text if states else ():
        following = next((target for letter, target in states[at].moves if charset.contains(letter, ord(char))), None)
        if following is None:
            return False
        at = following
    return bool(states) and states[at].is_final


def _sets(whole: Expression) -> list[CharSet]:
    """All sets of characters in an expression."""
    sets = []
    seen = {whole}
    queue = [whole]
    for one in queue:
        if isinstance(one, Chars):
            sets.append(one.members)
        fresh = [part for part in _parts(one) if part not in seen]
        seen.update(fresh)
        queue.extend(fresh)
    return sets


def _parts(one: Expression) -> Iterable[Expression]:
    match one:
        case Cat():
            return one.first, one.rest
        case Repeat() | Not():
            return (one.body,)
        case AnyOf() | AllOf():
            return one.options
        case _:
            return ()


def _trimmed(found: list[list[tuple[CharSet, int]]], finals: list[bool]) -> list[State]:
    sources: list[list[int]] = [[] for _ in found]
    for source, moves in enumerate(found):
        for _, target in moves:
            sources[target].append(source)
    alive = {number for number, is_final in enumerate(finals) if is_final}
    queue = list(alive)
    for number in queue:
        fresh = [source for source in sources[number] if source not in alive]
        alive.update(fresh)
        queue.extend(fresh)
    if 0 not in alive:
        return []
    numbers = {number: index for index, number in enumerate(sorted(alive))}
    return [State(_joined(found[number], numbers), finals[number]) for number in numbers]


def _joined(moves: list[tuple[CharSet, int]], numbers: dict[int, int]) -> tuple[tuple[CharSet, int], ...]:
    """One move for each target."""
    by_target: dict[int, list[CharSet]] = {}
    for letter, target in moves:
        if target in numbers:
            by_target.setdefault(numbers[target], []).append(letter)
    return tuple((charset.union(*letters), target) for target, letters in by_target.items())
