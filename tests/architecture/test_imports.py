"""Imports point one way. The tables are the documentation; ARCHITECTURE.md draws the same picture."""

from graphlib import TopologicalSorter

import pytest

from tests.architecture.source import imports, modules

# A room is a file or folder. It may import itself and what stands behind its arrow; * is every room of its package.
# The packages' own __init__ (the version) is everybody's.
ARROWS = """
    proxy.__main__          -> proxy.cli
    proxy.cli -> proxy.app proxy.check proxy.demo proxy.drill proxy.workers proxy.config proxy.telemetry proxy.errors
    proxy.check             -> *
    proxy.demo    -> proxy.app proxy.config proxy.wire proxy.telemetry proxy.telemetry.events proxy.errors proxy.clock
    proxy.demo              -> proxy.signals
    proxy.drill             -> proxy.core proxy.wire proxy.errors proxy.clock proxy.signals
    proxy.workers           -> *
    proxy.app               -> *
    proxy.spare             -> proxy.upstreams proxy.config proxy.telemetry proxy.clock
    proxy.drilling          -> proxy.server proxy.config proxy.core proxy.telemetry.events proxy.clock
    proxy.server            -> proxy.upstreams proxy.core proxy.wire proxy.telemetry.events proxy.errors proxy.clock
    proxy.upstreams         -> proxy.core proxy.wire proxy.telemetry.events proxy.errors proxy.clock
    proxy.telemetry         -> proxy.core proxy.telemetry.events proxy.errors proxy.clock
    proxy.telemetry.events  -> proxy.core proxy.errors
    proxy.config            -> proxy.core proxy.errors
    proxy.core              ->
    proxy.wire              -> proxy.errors
    proxy.errors            ->
    proxy.clock             ->
    proxy.signals           ->
    proxy.memory            ->

    models.__main__         -> models.cli
    models.cli              -> *
    models.server           -> models.engine models.catalog models.download models.conversion models.errors
    models.server           -> models.schema models.tools models.fit models.child
    models.bench            -> models.engine models.columns models.errors
    models.fit              -> models.engine models.catalog models.conversion models.columns models.errors
    models.conversion       -> models.engine models.catalog models.download models.child models.errors
    models.engine           -> models.errors
    models.schema           -> models.errors
    models.tools            -> models.schema
    models.download         -> models.catalog models.child models.errors
    models.child            -> models.errors
    models.catalog          -> models.errors
    models.columns          ->
    models.log              ->
    models.errors           ->
"""

# What decides or reads bytes neither waits, nor looks at a clock, nor throws dice, nor writes a log.
# The road out is our own.
FORBIDDEN = """
    proxy.core    : aiohttp asyncio logging os random socket threading time uvloop
    proxy.wire    : aiohttp asyncio logging os random socket threading time uvloop
    proxy.config  : aiohttp asyncio logging os random socket threading time uvloop
    proxy.demo.story : aiohttp asyncio logging os random socket threading time uvloop
    proxy.demo.page  : aiohttp asyncio logging os random socket threading time uvloop
    proxy.demo.flow  : aiohttp asyncio logging os random socket threading time uvloop
    proxy.upstreams : aiohttp
    models.engine : aiohttp asyncio uvloop
    models.schema : asyncio logging os random socket threading time
    models.catalog.gguf      : asyncio logging os random socket threading time
    models.fit.need    : asyncio logging os random socket threading time
    models.fit.advice  : asyncio logging os random socket threading time
    models.fit.machine : asyncio logging os random socket threading time
    models.conversion.choice : asyncio logging os random socket threading time
"""

# The one module of a package that may import what stands on the right.
SOLE_IMPORTER = """
    proxy.clock         : time
    models.engine.llama.native : llama_cpp
"""


def table(text: str, separator: str) -> dict[str, tuple[str, ...]]:
    """What stands left, and all that stands right of it in one line or several."""
    rows: dict[str, tuple[str, ...]] = {}
    for line in filter(str.strip, text.splitlines()):
        left, right = line.split(separator)
        rows[left.strip()] = (*rows.get(left.strip(), ()), *right.split())
    return rows


ROOMS = table(ARROWS, "->")
ROOTS = ("proxy", "models")


def is_in(module: str, room: str) -> bool:
    return module == room or module.startswith(f"{room}.")


def room_of(module: str) -> str | None:
    """The innermost room, or None."""
    return max((room for room in ROOMS if is_in(module, room)), key=len, default=None)


def may_import(module: str, target: str) -> bool:
    here, there = room_of(module), room_of(target)
    if target in ROOTS:
        return is_in(module, target)
    if here is None or there is None:
        return False
    allowed = ROOMS[here]
    return here == there or there in allowed or (allowed == ("*",) and here.split(".")[0] == there.split(".")[0])


def ours(module: str) -> frozenset[str]:
    return frozenset(target for target in imports(module) if target.split(".")[0] in ROOTS)


def test_every_module_has_a_room() -> None:
    assert [module for module in modules() if module not in ROOTS and room_of(module) is None] == []


def test_every_import_follows_an_arrow() -> None:
    against = [
        f"{module} -> {target}"
        for module in modules()
        for target in sorted(ours(module))
        if not may_import(module, target)
    ]
    assert against == []


@pytest.mark.parametrize(
    ("module", "target", "is_allowed"),
    [
        ("proxy.server.relay", "proxy.core.failover", True),
        ("proxy.server.relay", "proxy.telemetry.events", True),
        ("proxy.server.relay", "proxy.telemetry.metrics", False),
        ("proxy.core.breaker", "proxy.wire.sse", False),
        ("proxy.app", "models.errors", False),
        ("models.cli", "proxy.errors", False),
        ("models.cli", "proxy", False),
        ("proxy.wire.headers", "proxy", True),
        ("proxy.cli", "proxy.not_in_the_table", False),
    ],
)
def test_arrows_are_read_as_drawn(module: str, target: str, is_allowed: bool) -> None:
    assert may_import(module, target) is is_allowed


@pytest.mark.parametrize(("room", "names"), table(FORBIDDEN, ":").items())
def test_pure_rooms_import_nothing_that_acts(room: str, names: tuple[str, ...]) -> None:
    acting = [
        f"{module} imports {target}"
        for module in modules()
        for target in sorted(imports(module))
        if is_in(module, room) and target.split(".")[0] in names
    ]
    assert acting == []


@pytest.mark.parametrize(("sole", "names"), table(SOLE_IMPORTER, ":").items())
def test_sole_importer_is_alone(sole: str, names: tuple[str, ...]) -> None:
    package = sole.split(".")[0]
    others = [
        module
        for module in modules()
        if is_in(module, package) and module != sole and any(name.split(".")[0] in names for name in imports(module))
    ]
    assert others == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = {module: ours(module) - {module} for module in modules()}
    assert set(TopologicalSorter(graph).static_order()) >= modules().keys()
