"""config.example.yaml is the manual: it and the schema say the same."""

import dataclasses
import re
import typing
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from types import NoneType

import pytest
import yaml

from proxy.config.build import is_section, key_of
from proxy.config.load import load
from proxy.config.schema import Config, UpstreamSettings
from proxy.config.value import Secret

EXAMPLE = Path(__file__).parents[3] / "config.example.yaml"

# "# prose" stays a comment; "#key: value" and what is indented below it becomes a setting.
COMMENTED_SETTING = re.compile(r"^( *)#(?! \S)(?=.)", re.MULTILINE)


def schema_keys(kind: type, prefix: str = "") -> Iterator[str]:
    """Every key path; the items of a list are `[]`."""
    hints = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        path = f"{prefix}{key_of(field.name)}"
        yield path
        arguments = [hint for hint in typing.get_args(hints[field.name]) if hint not in {NoneType, Ellipsis}]
        for inner in [hints[field.name], *arguments]:
            if is_section(inner):
                is_list = typing.get_origin(hints[field.name]) is tuple
                yield from schema_keys(inner, f"{path}[]." if is_list else f"{path}.")


def document_keys(node: object, free: frozenset[str], prefix: str = "") -> Iterator[str]:
    """Every key path of a document; below the paths in `free` the keys are the reader's own."""
    if isinstance(node, list):
        for item in node:
            yield from document_keys(item, free, f"{prefix}[]")
    elif isinstance(node, Mapping) and prefix not in free:
        for key, value in node.items():
            path = f"{prefix}.{key}" if prefix else str(key)
            yield path
            yield from document_keys(value, free, path)


FREE = frozenset({"upstreams[].headers", "upstreams[].models"})


@pytest.fixture(scope="module")
def config() -> Config:
    return load(EXAMPLE, {})


def test_every_key_of_the_schema_is_in_the_example() -> None:
    uncommented = COMMENTED_SETTING.sub(r"\1", EXAMPLE.read_text(encoding="utf-8"))
    assert set(document_keys(yaml.safe_load(uncommented), FREE)) == set(schema_keys(Config))


def test_active_values_are_the_defaults(config: Config) -> None:
    assert dataclasses.replace(config, upstreams=()) == Config()


def test_active_upstream_has_the_defaults(config: Config) -> None:
    (upstream,) = config.upstreams
    assert upstream == UpstreamSettings(name="openai", base_url=upstream.base_url)


def test_every_key_with_a_default_is_active_unless_it_is_off(config: Config) -> None:
    active = set(document_keys(yaml.safe_load(EXAMPLE.read_text(encoding="utf-8")), FREE))
    off = {"admin", "admin.listen", "clients[].name", "clients[].key_sha256", "local.url", "local.served_model"}
    off |= {"routes[].match", "routes[].to", "routes[].resume", "upstreams[].max_connections"}
    off |= {"upstreams[].prefill", "local.prefill"}
    off |= {f"drills.schedule[].{key}" for key in ("at", "shape", "upstream", "model", "share", "for")}
    assert set(schema_keys(Config)) - active == off


def test_example_asks_openai_with_the_key_of_the_environment() -> None:
    (upstream,) = load(EXAMPLE, {"OPENAI_API_KEY": "sk-1", "OPENAI_BASE_URL": "http://127.0.0.1:1/v1"}).upstreams
    assert (str(upstream.base_url), upstream.api_key) == ("http://127.0.0.1:1/v1", Secret("sk-1"))


def test_every_key_is_explained() -> None:
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    setting = re.compile(r" *#?[a-z_]+:")
    # Sections of settings speak through their keys, and a run of keys may share the prose above it.
    unexplained = [line for above, line in pairwise(lines) if setting.match(line) and not above.strip()]
    assert unexplained == []
