"""The project's own source, parsed: modules by name, and which of them import what."""

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("proxy", "models")


@cache
def modules() -> Mapping[str, ast.Module]:
    """Dotted name to syntax tree, for every file of both packages."""
    paths = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    return {_name_of(path): ast.parse(path.read_text(encoding="utf-8"), str(path)) for path in paths}


@cache
def imports(module: str) -> frozenset[str]:
    """Dotted names that a module imports, wherever in it: our own as modules, others as they are written."""
    return frozenset(_imported(modules()[module]))


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            # `from proxy.core import breaker` means the module, `from proxy.core.breaker import Breaker` what is in it.
            members = (f"{node.module}.{alias.name}" for alias in node.names)
            yield from (member if member in modules() else node.module for member in members)


def _name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
