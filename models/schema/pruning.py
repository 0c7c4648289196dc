"""What is left of rules when all is taken away that no text with an end follows."""

from collections.abc import Iterator, Mapping, Sequence

Alternative = Sequence[str]
Alternatives = Sequence[Alternative]
_Uses = dict[str, list[list[tuple[str, bool]]]]


def reference(element: str) -> tuple[str, bool]:
    """The rule that an element names, empty for a terminal, and whether the element can do without it."""
    if element[0] in '"[':
        return "", True
    if element[-1] == "}":
        name, _, times = element.partition("{")
        return name, times.startswith("0,")
    return (element[:-1], True) if element[-1] in "*?" else (element, False)


def pruned(rules: Mapping[str, Alternatives], root: str) -> dict[str, Alternatives]:
    """The rules that a text may follow from a root on, less their alternatives that lead to no end.

    A rule that has no alternatives left is not among them, but for the root.
    """
    uses = _uses(rules, root)
    alive = _productive(uses)
    if len(alive) == len(uses):
        return {name: rules[name] for name in uses}
    left = {name: list(_alive(rules[name], uses[name], alive)) for name in alive}
    return {name: left[name] for name in _uses(left, root)} if root in alive else {root: []}


def repetitions(rules: Mapping[str, Alternatives]) -> int:
    """How many elements the repetitions of rules are written out to, where they have an end."""
    elements = (element for body in rules.values() for parts in body for element in parts if element[-1] == "}")
    return sum(int(element[:-1].replace("{", ",").rpartition(",")[2]) for element in elements)


def _uses(rules: Mapping[str, Alternatives], root: str) -> _Uses:
    """Of each rule that a text may follow from a root on, what its elements refer to."""
    found: _Uses = {root: []}
    queue = [root]
    for name in queue:  # grows as it goes
        found[name] = [list(map(reference, alternative)) for alternative in rules[name]]
        for used in [used for parts in found[name] for used, _ in parts if used]:
            if used not in found:
                found[used] = []
                queue.append(used)
    return found


def _productive(uses: _Uses) -> set[str]:
    """Those that some text with an end follows, found from the ends backwards."""
    users: dict[str, list[tuple[str, int]]] = {}
    missing: dict[tuple[str, int], int] = {}
    for name, alternatives in uses.items():
        for number, alternative in enumerate(alternatives):
            needs = {used for used, is_free in alternative if not is_free}
            missing[name, number] = len(needs)
            for need in needs:
                users.setdefault(need, []).append((name, number))
    done = {name for (name, _), count in missing.items() if not count}
    queue = list(done)
    for name in queue:
        for user in users.get(name, ()):
            missing[user] -= 1
            if not missing[user] and user[0] not in done:
                done.add(user[0])
                queue.append(user[0])
    return done


def _alive(
    alternatives: Alternatives, uses: Sequence[Sequence[tuple[str, bool]]], alive: set[str]
) -> Iterator[Alternative]:
    for alternative, used in zip(alternatives, uses, strict=True):
        if all(is_free or name in alive for name, is_free in used):
            yield [element for element, (name, _) in zip(alternative, used, strict=True) if not name or name in alive]
