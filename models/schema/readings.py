"""In how many ways llama.cpp may have to read a text at once.

It follows every alternative that fits what is written so far, and compares each such reading with all others. A *fork*
is a rule whose alternatives may stay together for long: while they do, all that is inside of them is read once for
each. A fork inside of itself multiplies with every level of nesting, and has no limit.
"""

from collections.abc import Mapping
from typing import Final

from models.schema.fault import Fault
from models.schema.pruning import Alternatives, reference

MAX_READINGS: Final = 64


def check_readings(rules: Mapping[str, Alternatives], forks: set[str]) -> None:
    """Make sure that no text can be read in too many ways.

    Args:
        rules: that a text may follow.
        forks: names of rules, some of them among these.

    Raises:
        Fault: it can.

    """
    if forks.isdisjoint(rules):
        return
    uses = {name: _names(alternatives) for name, alternatives in rules.items()}
    inner = {fork: _reach(uses, fork) & forks for fork in forks & rules.keys() if len(rules[fork]) > 1}
    known: dict[str, int] = {}

    def readings(fork: str) -> int:
        if fork not in known:
            deepest = max((readings(one) for one in inner[fork] & inner.keys()), default=1)
            known[fork] = len(rules[fork]) * deepest
        return known[fork]

    if any(fork in reached for fork, reached in inner.items()):
        raise Fault("", "alternatives that contain themselves begin alike; give each a property with a constant")
    if any(readings(fork) > MAX_READINGS for fork in inner):
        raise Fault("", "too many alternatives begin alike; give each a property with a constant")


def _names(alternatives: Alternatives) -> frozenset[str]:
    return frozenset(reference(element)[0] for parts in alternatives for element in parts) - {""}


def _reach(uses: Mapping[str, frozenset[str]], start: str) -> frozenset[str]:
    """All rules that are used in a rule, or in one of these."""
    found = set(uses[start])
    queue = list(found)
    for name in queue:
        fresh = uses[name] - found
        found |= fresh
        queue.extend(fresh)
    return frozenset(found)
