"""What the files are called, and what may stand in them."""

import ast
from collections.abc import Iterator

import pytest

from tests.architecture.source import PACKAGES, ROOT, modules

# Names that say nothing collect everything.
MEANINGLESS = frozenset({"base", "common", "helper", "helpers", "manager", "misc", "util", "utils"})

# Where everything may be caught, and why. Each of them ends something and reports it; none goes on as if nothing were.
BOUNDARIES = {
    "proxy.server.middleware": "one request: a fault of ours becomes a 500 and an event, and the others go on",
    "proxy.server.connection": "the lane: a request gets a 500, bytes it fails to read aiohttp; the fault is an event",
    "proxy.server.attempt": "the callbacks of one attempt: nobody above them would hear of it, the client would wait",
    "proxy.server.drive": "a start, and an attempt's launch, likewise: the client gets a 500, and the fault an event",
    "models.engine.owner": "the engine thread: no client may be left waiting for a thread that is gone",
}

CATCH_ALL = frozenset({"Exception", "BaseException"})


def catches_all(node: ast.AST) -> bool:
    """Whether this is `except:`, `except Exception` or `suppress(Exception)`, and does not end by raising it again."""
    if isinstance(node, ast.ExceptHandler):
        is_broad = node.type is None or not CATCH_ALL.isdisjoint(names(node.type))
        return is_broad and not raises_again(node)
    if isinstance(node, ast.Call):
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        return called == "suppress" and any(not CATCH_ALL.isdisjoint(names(argument)) for argument in node.args)
    return False


def raises_again(handler: ast.ExceptHandler) -> bool:
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


def names(node: ast.AST) -> set[str]:
    return {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}


def nodes() -> Iterator[tuple[str, ast.AST]]:
    return ((module, node) for module, tree in modules().items() for node in ast.walk(tree))


def test_no_file_has_a_name_that_says_nothing() -> None:
    stems = {module: module.rpartition(".")[2] for module in modules()}
    assert [module for module, stem in stems.items() if stem in MEANINGLESS or stem.endswith("_v2")] == []


def test_every_folder_of_source_is_a_package() -> None:
    folders = {path.parent for package in PACKAGES for path in (ROOT / package).rglob("*.py")}
    assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []


def test_every_module_says_what_it_is_for() -> None:
    assert [module for module, tree in modules().items() if not ast.get_docstring(tree)] == []


def test_nothing_is_global() -> None:
    assert [module for module, node in nodes() if isinstance(node, ast.Global)] == []


def test_everything_is_caught_at_named_boundaries_only() -> None:
    assert {module for module, node in nodes() if catches_all(node)} - BOUNDARIES.keys() == set()


@pytest.mark.parametrize(
    ("source", "is_catch_all"),
    [
        ("try: ...\nexcept: ...", True),
        ("try: ...\nexcept (OSError, Exception): ...", True),
        ("try: ...\nexcept BaseException as e: ...", True),
        ("with contextlib.suppress(Exception): ...", True),
        ("try: ...\nexcept Exception:\n  raise ValueError from None", True),
        ("try: ...\nexcept BaseException:\n  close()\n  raise", False),
        ("try: ...\nexcept OSError: ...", False),
        ("raise Exception('x')", False),
    ],
)
def test_catch_all_is_recognised(source: str, is_catch_all: bool) -> None:
    assert any(catches_all(node) for node in ast.walk(ast.parse(source))) is is_catch_all
