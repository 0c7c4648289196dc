"""Bursts: so many clients at the same moment, and what each server makes of them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass

from tests.bench.serving.access import Access
from tests.bench.serving.answer import Answer
from tests.bench.serving.client import Caller, Question
from tests.bench.serving.figures import Figures
from tests.bench.serving.plan import Case, Mode, Turn
from tests.bench.serving.prompt import Kind, Size, conversations
from tests.bench.target import NotServing

# A burst that only fills caches needs no long answers; one that begins in all slots at once reaches them all.
_FILLING_TOKENS = 8


@dataclass(frozen=True, slots=True)
class Load:
    """What each client asks: prompts of that size, so many one after the other, answers of so many tokens.

    The seed makes the prompts. A server that has seen them in an earlier run may have them in its cache.
    """

    seed: str
    size: Size
    output_tokens: int
    requests: int = 1


@dataclass(frozen=True, slots=True)
class Result:
    """A burst on one server."""

    server: str
    round_number: int
    case: Case
    figures: Figures


async def measure(
    access: Access, load: Load, turns: Iterable[Turn], left_out: Callable[[str], None]
) -> AsyncIterator[Result]:
    """The results as they come. A server that does not come up is left out of that turn, and why is told."""
    for turn in turns:
        try:
            async with access.to(turn.server, turn.cases[0].clients) as caller:
                for case in turn.cases:
                    figures = await _measured(caller, load, case, f"{load.seed}/{turn.round_number}/{case}")
                    yield Result(turn.server.name, turn.round_number, case, figures)
        except NotServing as error:
            left_out(str(error))


async def _measured(caller: Caller, load: Load, case: Case, key: str) -> Figures:
    if case.mode is Mode.WARM and case.kind is Kind.SHARED:
        prompts = conversations(case.kind, load.size, case.clients, key, "before")
        await run(caller, [[Question(messages, _FILLING_TOKENS)] for messages in prompts])
    prompts = conversations(case.kind, load.size, case.clients * load.requests, key, "measured")
    questions = [Question(messages, load.output_tokens) for messages in prompts]
    return Figures.of(await run(caller, [questions[number :: case.clients] for number in range(case.clients)]))


async def run(caller: Caller, clients: Sequence[Sequence[Question]]) -> list[Answer]:
    """All clients at once; each asks its questions one after the other."""
    answers = await asyncio.gather(*(_client(caller, questions) for questions in clients))
    return [answer for of_one in answers for answer in of_one]


async def _client(caller: Caller, questions: Sequence[Question]) -> list[Answer]:
    return [await caller.ask(question) for question in questions]
