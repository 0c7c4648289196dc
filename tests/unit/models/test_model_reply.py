"""What a whole answer says, and says that it cost, with the real engine over a scripted model."""

import json
from typing import Any

import pytest
from scripted import Rig, ScriptedBackend

from models.engine.params import SamplingParams
from models.server.answer import Answer
from models.server.generation import Ask, Generation, Terms
from models.server.reply import Reply
from models.server.thinking import Thoughts
from models.server.wire import ChatForm, Head, Usage

THOUGHT = "<think>ab</think>"
"""A token for each letter."""


async def body(said: str, *, is_open: bool = False, choices: int = 1, **params: Any) -> Any:
    rig = Rig(ScriptedBackend(said), parallel=choices)
    form = ChatForm(Head("chatcmpl-1", 7, "m", with_usage=False), lambda: "call_1")
    answers = {index: Answer(thoughts=Thoughts(is_open=is_open)) for index in range(choices)}
    sampling = SamplingParams(**({"max_tokens": 99, "seed": 0} | params))
    asks = {index: Ask([65, 66], sampling) for index in answers}
    async with Generation(rig.engine, asks, Terms("", None)) as generation:
        rig.turn(1)
        while rig.engine.snapshot().running:
            rig.turn(1)
        answer = await Reply(form, answers, Usage(2, 0), choices, {}).whole(generation)
    assert isinstance(answer.body, bytes)
    return json.loads(answer.body)


async def usage(said: str, *, is_open: bool = False, choices: int = 1, **params: Any) -> Any:
    return (await body(said, is_open=is_open, choices=choices, **params))["usage"]


def thought_tokens(usage: Any) -> int:
    tokens: int = usage["completion_tokens_details"]["reasoning_tokens"]
    return tokens


@pytest.mark.parametrize(
    ("said", "is_open", "thought"),
    [
        (THOUGHT + "Yes.", False, len(THOUGHT)),
        (THOUGHT + "\n\nYes.", False, len(THOUGHT) + 2),
        ("ab</think>Yes.", True, len("ab</think>")),
        ("Yes.", False, 0),
        ("<b>", False, 0),
    ],
)
async def test_tokens_of_thoughts_are_counted_with_their_marks(said: str, is_open: bool, thought: int) -> None:
    counted = await usage(said, is_open=is_open)
    assert (thought_tokens(counted), counted["completion_tokens"]) == (thought, len(said))


async def test_thoughts_of_all_choices_are_counted() -> None:
    assert thought_tokens(await usage(THOUGHT + "Yes.", choices=3)) == 3 * len(THOUGHT)


async def test_thoughts_that_the_limit_cuts_are_all_of_the_answer() -> None:
    counted = await usage(THOUGHT, max_tokens=11)
    assert thought_tokens(counted) == counted["completion_tokens"] == 11


@pytest.mark.parametrize(("said", "stop"), [("<think>ab", ()), ("<think>abEND", ("END",))])
async def test_thoughts_without_an_end_are_the_answer(said: str, stop: tuple[str, ...]) -> None:
    told = await body(said, stop=stop)
    message = told["choices"][0]["message"]
    assert (message["content"], "reasoning_content" in message) == ("ab", False)
    assert thought_tokens(told["usage"]) == 0


async def test_thoughts_that_the_limit_cuts_are_no_answer() -> None:
    message = (await body("<think>abcdef", max_tokens=9))["choices"][0]["message"]
    assert (message["content"], message["reasoning_content"]) == ("", "ab")


async def test_tokens_that_are_held_back_as_a_stop_string_are_counted_when_they_are_told() -> None:
    assert thought_tokens(await usage("<think>a EN</think>b", stop=(" END",))) == len("<think>a EN</think>")
