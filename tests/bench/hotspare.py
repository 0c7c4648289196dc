"""How this project's own proxy is started: a recipe like its peers', with a configuration that can be made larger."""

import json
import shlex
import sys
from dataclasses import dataclass

from tests.bench import traffic
from tests.bench.recipe import Recipe

NAME = "hotspare"
COMMAND = "{python} -m proxy.cli serve --config {config}"


@dataclass(frozen=True, slots=True)
class Size:
    """How much is configured. All upstreams are the mock. The last route is the only one that matches."""

    upstreams: int = 1
    routes: int = 0


def recipe(command: str = COMMAND, size: Size = Size()) -> Recipe:
    """The proxy as `command` starts it; `{python}` and `{config}` in it are replaced."""
    filled = command.replace("{python}", sys.executable).replace("{config}", "$work/hotspare.yaml")
    return Recipe(
        name=NAME,
        program=sys.executable,
        command=tuple(shlex.split(filled)),
        files={"hotspare.yaml": json.dumps(_settings(size), indent=1)},  # JSON is YAML
    )


def _settings(size: Size) -> dict[str, object]:
    return {
        "listen": "127.0.0.1:$port",
        "local": False,
        "upstreams": [_upstream(number) for number in range(size.upstreams)],
        "routes": [_route(size.routes - 1 - number) for number in range(size.routes)],
        "log": {"level": "warning"},
    }


def _upstream(number: int) -> dict[str, object]:
    return {"name": f"mock-{number}", "base_url": "http://127.0.0.1:$upstream/v1", "api_key": traffic.API_KEY}


def _route(number: int) -> dict[str, object]:
    return {"match": f"family-{number}-*" if number else f"{traffic.MODEL}*", "to": ["mock-0"]}
