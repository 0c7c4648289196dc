"""`python -m tests.bench.constrained`: what it costs an answer to follow a JSON schema. See `--help`."""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from statistics import median
from time import perf_counter
from typing import Any

import aiohttp

from tests.bench.process import machine
from tests.running import MODEL, running_model_server

STREAMS = 8
TOKENS = 96

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 24},
        "age": {"type": "integer", "minimum": 0, "maximum": 120},
        "role": {"type": "string", "enum": ["engineer", "artist", "nurse"]},
    },
    "required": ["name", "age", "role"],
    "additionalProperties": False,
}
PEOPLE = {
    "type": "object",
    # More of them than fit into an answer: none ends before the others.
    "properties": {"people": {"type": "array", "minItems": TOKENS, "items": PERSON}},
    "required": ["people"],
    "additionalProperties": False,
}
FORM = {"type": "json_schema", "json_schema": {"name": "people", "strict": True, "schema": PEOPLE}}
FREE: dict[str, Any] = {"ignore_eos": True}
CONSTRAINED: dict[str, Any] = {"response_format": FORM}


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.constrained",
        description=f"Tokens per second of {STREAMS} answers at once, free ones and under a JSON schema in turn.",
    )
    parser.add_argument("--rounds", type=int, default=4, help="of both; default: 4, about a minute")
    return parser.parse_args(arguments)


async def answer(session: aiohttp.ClientSession, number: int, form: dict[str, Any]) -> int:
    """Ask once; how many tokens came."""
    asked = f"List people as JSON with name, age and role. Begin with number {number}."
    body = {"model": MODEL, "messages": [{"role": "user", "content": asked}], "max_tokens": TOKENS, "seed": number}
    async with session.post("http://local/v1/chat/completions", json=body | form) as response:
        response.raise_for_status()
        return int((await response.json())["usage"]["completion_tokens"])


async def rate(session: aiohttp.ClientSession, number: int, form: dict[str, Any]) -> float:
    """Tokens per second of a burst."""
    began_at = perf_counter()
    counts = await asyncio.gather(*(answer(session, number + stream, form) for stream in range(STREAMS)))
    return sum(counts) / (perf_counter() - began_at)


async def measure(url: str, rounds: int) -> tuple[list[float], list[float]]:
    """The rates of free bursts, and of those under the schema."""
    free: list[float] = []
    constrained: list[float] = []
    async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(url.removeprefix("unix://"))) as session:
        await rate(session, 0, CONSTRAINED)  # compiles the schema, and fills the cache of prompts
        for number in range(1, rounds + 1):
            free.append(await rate(session, number * STREAMS, FREE))
            constrained.append(await rate(session, number * STREAMS, CONSTRAINED))
            print(f"round {number}: free {free[-1]:.1f} tokens/s, constrained {constrained[-1]:.1f}", flush=True)
    return free, constrained


def main(arguments: Sequence[str] | None = None) -> int:
    """See `--help`."""
    options = parse(arguments)
    print(machine())
    with running_model_server() as url:
        free, constrained = asyncio.run(measure(url, options.rounds))
    ratio = median(constrained) / median(free)
    print(f"median: free {median(free):.1f}, constrained {median(constrained):.1f} tokens/s: {ratio:.2f} x")
    return 0


if __name__ == "__main__":
    sys.exit(main())
