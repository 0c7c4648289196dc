"""Rules that tie keys together. What one value may be by itself is the business of its type in the schema."""

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from proxy.config.schema import LOCAL, Config, RouteSettings
from proxy.core.drill import ALL, meant


class Finding(NamedTuple):
    """A broken rule: the key to change, why and how."""

    key: str
    problem: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Rule:
    """A check and the top-level keys that it reads; it has nothing to say while one of those is faulty itself."""

    reads: frozenset[str]
    check: Callable[[Config], Iterator[Finding]]


def findings(config: Config, written: Collection[str], faulty: Collection[str] = ()) -> Iterator[Finding]:
    """All broken rules. `written` are the key paths that the file gives, `faulty` the top-level keys with faults."""
    for rule in RULES:
        if rule.reads.isdisjoint(faulty):
            yield from rule.check(config)
    # A default says nothing, so here it matters what was written.
    if "local" not in faulty and {"local.model", "local.url"} <= set(written):
        yield Finding("local.url", "is given beside model", "keep model to run one here, or url to use your own server")


def _open_only_on_purpose(config: Config) -> Iterator[Finding]:
    if not (config.listen.is_loopback or config.clients or config.open_access):
        problem = f"{config.listen} can be reached from other machines and anybody may use it"
        yield Finding("listen", problem, "list clients, listen on 127.0.0.1, or say open_access: true")


def _unique_clients(config: Config) -> Iterator[Finding]:
    yield from _repeated("clients", "name", (client.name for client in config.clients))
    yield from _repeated("clients", "key_sha256", (client.key_sha256 for client in config.clients))


def _unique_upstreams(config: Config) -> Iterator[Finding]:
    yield from _repeated("upstreams", "name", (upstream.name for upstream in config.upstreams))
    for index, upstream in enumerate(config.upstreams):
        if upstream.name in _TAKEN:
            problem = f"'{upstream.name}' is the name of {_TAKEN[upstream.name]}"
            yield Finding(f"upstreams[{index}].name", problem, "choose another name")


def _somebody_answers(config: Config) -> Iterator[Finding]:
    if not config.upstreams and config.local is None:
        yield Finding("local", "nothing could answer: there is no upstream and no local model", "add an upstream")


def _client_keys_stay_here(config: Config) -> Iterator[Finding]:
    """With clients of our own, their keys are ours, and no upstream may see them."""
    for index, upstream in enumerate(config.upstreams):
        if config.clients and upstream.takes_client_key:
            problem = "is empty, so the keys of your clients would be sent there"
            yield Finding(f"upstreams[{index}].api_key", problem, "set it, or say client_key: drop")


def _client_keys_go_to_one_place(config: Config) -> Iterator[Finding]:
    """A client's key is meant for one cloud. Failing over must not hand it to another."""
    takers = [(index, upstream) for index, upstream in enumerate(config.upstreams) if upstream.takes_client_key]
    for index, upstream in takers[1:]:
        first = takers[0][1]
        if not config.clients and upstream.base_url.origin != first.base_url.origin:
            problem = f"is empty, so keys that clients mean for {first.name} would be sent there"
            yield Finding(f"upstreams[{index}].api_key", problem, "set it, or say client_key: drop")


def _cooldown_below_its_maximum(config: Config) -> Iterator[Finding]:
    for index, upstream in enumerate(config.upstreams):
        if upstream.breaker.cooldown_seconds > upstream.breaker.max_cooldown_seconds:
            key = f"upstreams[{index}].breaker.cooldown"
            yield Finding(key, "is longer than max_cooldown", "lower it, or raise max_cooldown")


def _local_is_ours_or_yours(config: Config) -> Iterator[Finding]:
    if config.local is None:
        return
    if config.local.url and config.local.served_model is None:
        yield Finding("local.served_model", "is missing", "add the name of the model to ask the server at url for")
    if config.local.served_model and config.local.url is None:
        yield Finding("local.served_model", "is given without url", "add url, or name the model in model")


def _somebody_wakes_the_spare(config: Config) -> Iterator[Finding]:
    """What rests until an upstream fails must have an upstream that can."""
    local = config.local
    if local is not None and local.url is None and local.standby != "hot" and not config.upstreams:
        problem = f"is {local.standby}, but there is no upstream beside the local model"
        yield Finding("local.standby", problem, "say standby: hot, or add an upstream")


def _routes_lead_somewhere(config: Config) -> Iterator[Finding]:
    for index, route in enumerate(config.routes):
        for key, problem, remedy in _route(route, config):
            yield Finding(f"routes[{index}].{key}", problem, remedy)


def _route(route: RouteSettings, config: Config) -> Iterator[Finding]:
    names = {upstream.name for upstream in config.upstreams}
    if not route.to:
        yield Finding("to", "is empty", "name at least one upstream or local")
    for index, name in enumerate(route.to):
        if name in route.to[:index]:
            yield Finding(f"to[{index}]", f"'{name}' stands there twice", "keep one of them")
        elif name == LOCAL and config.local is None:
            yield Finding(f"to[{index}]", "the local model is switched off", "remove it, or remove local: false")
        elif name == LOCAL and index < len(route.to) - 1:
            yield Finding(f"to[{index}]", "the local model is not the last", "move local to the end")
        elif name != LOCAL and name not in names:
            known = ", ".join([*sorted(names), LOCAL])
            yield Finding(f"to[{index}]", f"'{name}' is not an upstream", f"choose from {known}")


def _routes_are_reached(config: Config) -> Iterator[Finding]:
    patterns = [route.match for route in config.routes]
    for index, pattern in enumerate(patterns):
        if pattern in patterns[:index] or "*" in patterns[:index]:
            problem = f"'{pattern}' never comes to pass, as an earlier route matches all that it does"
            yield Finding(f"routes[{index}].match", problem, "move it up or remove it")


def _drills_have_a_target(config: Config) -> Iterator[Finding]:
    clouds = [upstream.name for upstream in config.upstreams]
    known = [*clouds, LOCAL] if config.local else clouds
    for index, drill in enumerate(config.drills.schedule):
        key = f"drills.schedule[{index}].upstream"
        if ALL in drill.upstream and not clouds:
            yield Finding(key, f"is {ALL}, but there is no upstream", "add one, or remove the drill")
        for name in meant(drill.upstream, clouds):
            if name not in known:
                yield Finding(key, f"there is no upstream '{name}'", f"choose from {', '.join([*known, ALL])}")


_TAKEN: Final = {LOCAL: "the local model", ALL: "all upstreams together"}

RULES: Final = (
    Rule(frozenset({"listen", "clients", "open_access"}), _open_only_on_purpose),
    Rule(frozenset({"clients"}), _unique_clients),
    Rule(frozenset({"upstreams"}), _unique_upstreams),
    Rule(frozenset({"upstreams", "local"}), _somebody_answers),
    Rule(frozenset({"upstreams", "clients"}), _client_keys_stay_here),
    Rule(frozenset({"upstreams", "clients"}), _client_keys_go_to_one_place),
    Rule(frozenset({"upstreams"}), _cooldown_below_its_maximum),
    Rule(frozenset({"local"}), _local_is_ours_or_yours),
    Rule(frozenset({"upstreams", "local"}), _somebody_wakes_the_spare),
    Rule(frozenset({"routes", "upstreams", "local"}), _routes_lead_somewhere),
    Rule(frozenset({"routes"}), _routes_are_reached),
    Rule(frozenset({"drills", "upstreams", "local"}), _drills_have_a_target),
)


def _repeated(section: str, key: str, values: Iterable[str]) -> Iterator[Finding]:
    seen: dict[str, int] = {}
    for index, value in enumerate(values):
        first = seen.setdefault(value, index)
        if first != index:
            yield Finding(f"{section}[{index}].{key}", f"is the same as in {section}[{first}]", "make it different")
