"""Requests of all kinds, thrown by dice, and what is wrong with an answer to one of them. Pure."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from random import Random
from typing import Any, Final

# What a grammar permits, as GBNF, as a pattern for a whole answer, and as an example.
_GRAMMARS: Final = (
    (r'root ::= "{" [a-z]{1,9} ":" [0-9]{1,3} "}"', r"\{[a-z]{1,9}:[0-9]{1,3}\}", "{answer:42}"),
    (r'root ::= ("yes" | "no") "!"?', r"(yes|no)!?", "yes!"),
    ('root ::= [a-z]+ (" " [a-z]+)*', r"[a-z]+( [a-z]+)*", "once upon a time"),
)
_ANYTHING: Final = ("", None, "")
_BROKEN_GRAMMAR: Final = "root ::= missing"
_HEADS: Final = tuple(
    f"You are helper number {number}. " + "Answer in few words, kindly and truly. " * 4 for number in range(5)
)
_WORDS: Final = ("one", "two", "three", "why", "when", "Zürich", "漢字", "🇫🇷", "stop", "?")
_STREAM_END: Final = "[DONE]"
_EXPIRED: Final = '"code":"overloaded"'


@dataclass(frozen=True, slots=True)
class Caprice:
    """One request.

    Attributes:
        path: its URL below /v1.
        body: to be sent as JSON.
        headers: besides.
        leaves_after_lines: the client goes away after so many lines of the answer, or after none; None if it stays.
        statuses: which are right.
        pattern: what a complete text has to match.

    """

    path: str
    body: Mapping[str, Any]
    headers: Mapping[str, str]
    leaves_after_lines: int | None
    statuses: frozenset[int]
    pattern: str | None

    @property
    def is_streamed(self) -> bool:
        """Whether the answer comes as events."""
        return bool(self.body["stream"])

    @property
    def may_expire_half_way(self) -> bool:
        """Whether one of its choices may still wait at the deadline while another one has begun."""
        return HTTPStatus.SERVICE_UNAVAILABLE in self.statuses and self.body.get("n", 1) > 1


def throw(dice: Random, model: str) -> Caprice:
    """The next request to a server of this model."""
    grammar, pattern, example = dice.choice(_GRAMMARS) if dice.random() < 0.2 else _ANYTHING
    statuses = {HTTPStatus.OK}
    headers = {"x-hotspare-client": f"client {dice.randrange(10)}"}
    if dice.random() < 0.1:
        headers["x-hotspare-deadline-seconds"] = f"{dice.expovariate(1.0):.3f}"
        statuses.add(HTTPStatus.SERVICE_UNAVAILABLE)
    if dice.random() < 0.02:
        grammar, pattern, statuses = _BROKEN_GRAMMAR, None, {HTTPStatus.BAD_REQUEST}
    body = {"model": model, "stream": dice.random() < 0.7} | _sampling(dice) | ({"grammar": grammar} if grammar else {})
    is_chat = dice.random() < 0.5
    return Caprice(
        path="/chat/completions" if is_chat else "/completions",
        body=body | (_chat(dice) if is_chat else _text(dice, example)),
        headers=headers,
        leaves_after_lines=dice.randrange(12) if dice.random() < 0.15 else None,
        statuses=frozenset(statuses),
        pattern=None if "stop" in body else pattern,
    )


def _sampling(dice: Random) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "max_tokens": 1 + min(int(dice.expovariate(1 / 20)), 200),
        "temperature": dice.choice([0.0, 0.3, 1.0, 2.0]),
        "seed": dice.randrange(2**40),
    }
    some: dict[str, Callable[[], Any]] = {
        "top_p": dice.random,
        "top_k": lambda: dice.randrange(1, 60),
        "min_p": lambda: dice.random() / 2,
        "frequency_penalty": lambda: dice.uniform(-2, 2),
        "presence_penalty": lambda: dice.uniform(-2, 2),
        "repeat_penalty": lambda: dice.uniform(0.5, 2),
        "logit_bias": lambda: {str(dice.randrange(200)): dice.uniform(-100, 10)},
        "stop": lambda: dice.choices(["e", "a", "th", "\n", "the end"], k=dice.randrange(1, 4)),
        "ignore_eos": lambda: True,
    }
    return fields | {name: value() for name, value in some.items() if dice.random() < 0.15}


def _chat(dice: Random) -> dict[str, Any]:
    messages = [{"role": "system", "content": dice.choice(_HEADS)}]
    for _ in range(dice.randrange(3)):
        messages += [{"role": "user", "content": _prose(dice)}, {"role": "assistant", "content": _prose(dice)}]
    choices = {"n": dice.randrange(1, 4)} if dice.random() < 0.1 else {}
    return {"messages": [*messages, {"role": "user", "content": _prose(dice)}]} | choices


def _text(dice: Random, example: str) -> dict[str, Any]:
    """`example` is what the answer could be, if it cannot be just anything."""
    prompt = dice.choice(_HEADS) * dice.randrange(3) + _prose(dice)
    delivered = example[: dice.randrange(len(example) + 1)] if example else _prose(dice)
    return {"prompt": prompt} | ({"delivered_text": delivered} if dice.random() < 0.2 else {})


def _prose(dice: Random) -> str:
    return " ".join(dice.choices(_WORDS, k=dice.randrange(1, 20)))


# ---- what is wrong


def fault_of_status(caprice: Caprice, status: int, body: str) -> str | None:
    """What is wrong with this status, if anything."""
    return None if status in caprice.statuses else f"status {status}: {body[:200]}"


def fault_of_whole(caprice: Caprice, body: str) -> str | None:
    """What is wrong with an unstreamed answer of status 200, if anything."""
    choices = json.loads(body)["choices"]
    texts = {choice["index"]: _content(choice.get("message") or choice) for choice in choices}
    reasons = {choice["index"]: choice["finish_reason"] for choice in choices}
    return _fault(caprice, texts, reasons)


def fault_of_stream(caprice: Caprice, lines: list[str]) -> str | None:
    """What is wrong with a stream that was read to its end, if anything."""
    events = [line.removeprefix("data: ").strip() for line in lines if line.startswith("data: ")]
    if events and caprice.may_expire_half_way and _EXPIRED in events[-1]:
        return None
    if not events or events.pop() != _STREAM_END:
        return f"a stream without an end: …{lines[-2:]}"
    texts: dict[int, str] = {}
    reasons: dict[int, str] = {}
    for choice in (choice for event in events for choice in json.loads(event)["choices"]):
        index = choice["index"]
        texts[index] = texts.get(index, "") + _content(choice.get("delta") or choice)
        if choice["finish_reason"]:
            reasons[index] = choice["finish_reason"]
    return _fault(caprice, texts, reasons)


def _content(part: Mapping[str, Any]) -> str:
    return part.get("content") or part.get("text") or ""


def _fault(caprice: Caprice, texts: Mapping[int, str], reasons: Mapping[int, str]) -> str | None:
    wanted = set(range(caprice.body.get("n", 1)))
    if reasons.keys() != wanted or not set(reasons.values()) <= {"stop", "length"}:
        return f"ends {dict(reasons)}"
    for index, text in texts.items():
        is_whole = caprice.pattern is not None and reasons[index] == "stop"
        if is_whole and not re.fullmatch(caprice.pattern or "", caprice.body.get("delivered_text", "") + text):
            return f"{text!r} against the grammar {caprice.body['grammar']}"
    return None
