"""What is done to a conversation that a template would refuse, or print in part. Pure.

Templates are written for the conversations that their model was trained on: alternating, with the user first, some with
no system message, some with one call at a time. Clients send others. A repair says the same in a form that the template
takes; it invents nothing, and who said what stays true, but that instructions which no template takes from the system
are given by the user.

Which repairs a template needs is found out once, by trying: each has trials, small conversations that a template either
prints completely or does not. `REPAIRS` stand in the order in which they are applied; what comes later makes good what
an earlier one leaves behind, so they are tried from the last to the first.
"""

import hashlib
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from models.server.messages import Turn, TurnCall
from models.server.spelling import spelled

Turns: TypeAlias = list[Turn]

_GAP: Final = "\n\n"
"""Between texts that were messages of their own."""


@dataclass(frozen=True, slots=True)
class Repair:
    """One thing that can be done.

    Attributes:
        apply: gives the conversation in another form; leaves those alone that do not need it.
        trials: conversations that show whether it is needed.
        is_structural: it concerns who speaks when; worth trying where a template refuses a conversation unexpectedly.

    """

    apply: Callable[[Turns], Turns]
    trials: tuple[Turns, ...]
    is_structural: bool = False


def repaired(turns: Turns, repairs: Iterable[Repair]) -> Turns:
    """The conversation after these repairs."""
    for repair in repairs:
        turns = repair.apply(turns)
    return turns


def needed(is_told: Callable[[Turns, Turns], bool]) -> tuple[Repair, ...]:
    """Those of `REPAIRS` that a template needs.

    Args:
        is_told: whether the template takes the first conversation, and prints all that the second one says.

    """
    chosen: tuple[Repair, ...] = ()
    for repair in reversed(REPAIRS):
        more = (repair, *chosen)
        if any(
            not is_told(repaired(trial, chosen), trial) and is_told(repaired(trial, more), trial)
            for trial in repair.trials
        ):
            chosen = more
    return chosen


def without_thoughts(turns: Turns) -> Turns:
    """Leave out what an assistant thought."""
    return [_without_thoughts(turn) for turn in turns]


def without_empty(turns: Turns) -> Turns:
    """Leave out what says nothing, but for the last turn."""
    return [turn for turn in turns[:-1] if _says_something(turn)] + turns[-1:]


def one_system(turns: Turns) -> Turns:
    """Join the system's messages at the beginning."""
    leading = list(itertools.takewhile(_is_system, turns))
    if len(leading) < 2:
        return turns
    return [_joined(leading), *turns[len(leading) :]]


def system_first(turns: Turns) -> Turns:
    """The system's later messages are told by the user."""
    leading = sum(1 for _ in itertools.takewhile(_is_system, turns))
    return turns[:leading] + [_by_user(turn) for turn in turns[leading:]]


def no_system(turns: Turns) -> Turns:
    """The system's messages are told by the user, in one turn with what the user says next."""
    told: Turns = []
    for turn in turns:
        if told and _is_system(told[-1]) and turn["role"] in {"system", "user"}:
            told[-1] = {**turn, "content": _joined([told[-1], turn])["content"]}
        else:
            told.append(turn)
    return [_by_user(turn) for turn in told]


def user_first(turns: Turns) -> Turns:
    """An assistant that speaks first answers a user who says nothing."""
    start = sum(1 for _ in itertools.takewhile(_is_system, turns))
    if start == len(turns) or turns[start]["role"] != "user":
        return [*turns[:start], {"role": "user", "content": ""}, *turns[start:]]
    return turns


def alternating(turns: Turns) -> Turns:
    """Join neighbours that the same one said."""
    return _merged(turns, lambda turn: turn["role"] in {"user", "assistant"} and "tool_calls" not in turn)


def named(turns: Turns) -> Turns:
    """Where several speak in one role, their texts begin with their names."""
    speakers = {(turn["role"], turn.get("name")) for turn in turns if turn["role"] != "tool"}
    crowded = {role for role, _ in speakers if sum(role == other for other, _ in speakers) > 1}
    return [_with_name(turn) if turn["role"] in crowded else turn for turn in turns]


def short_ids(turns: Turns) -> Turns:
    """Ids of nine letters and digits, which Mistral's templates insist on."""
    return [_with_short_ids(turn) for turn in turns]


def text_arguments(turns: Turns) -> Turns:
    """Arguments as JSON text: some templates print them as they are."""
    return [_with_calls(turn, _with_text_arguments) for turn in turns]


def words_apart(turns: Turns) -> Turns:
    """What an assistant says beside its calls becomes a turn of its own, before them."""
    return [part for turn in turns for part in _words_and_calls(turn)]


def one_call_each(turns: Turns) -> Turns:
    """Each call in a turn of its own, its result behind it."""
    told: Turns = []
    for turn in turns:
        if len(turn.get("tool_calls", ())) > 1:
            told += _single_calls(turn)
        elif turn["role"] == "tool":
            told.insert(_place_of_result(told, turn), turn)
        else:
            told.append(turn)
    return told


def _without_thoughts(turn: Turn) -> Turn:
    bare = turn.copy()
    bare.pop("reasoning_content", None)
    return bare


def _says_something(turn: Turn) -> bool:
    return bool(turn["content"].strip()) or turn["role"] == "tool" or "tool_calls" in turn


def _is_system(turn: Turn) -> bool:
    return turn["role"] == "system"


def _by_user(turn: Turn) -> Turn:
    return {**turn, "role": "user"} if _is_system(turn) else turn


def _joined(turns: Sequence[Turn]) -> Turn:
    return {**turns[0], "content": _GAP.join(turn["content"] for turn in turns if turn["content"])}


def _merged(turns: Turns, is_mergeable: Callable[[Turn], bool]) -> Turns:
    groups = itertools.groupby(turns, key=lambda turn: (turn["role"], is_mergeable(turn)))
    return [told for (_, may_merge), group in groups for told in ([_joined(list(group))] if may_merge else group)]


def _with_name(turn: Turn) -> Turn:
    return _say(turn["role"], f"{turn['name']}: {turn['content']}") if _is_named(turn) else turn


def _is_named(turn: Turn) -> bool:
    return "name" in turn and "tool_calls" not in turn


def _with_calls(turn: Turn, change: Callable[[TurnCall], TurnCall]) -> Turn:
    return {**turn, "tool_calls": [change(call) for call in turn["tool_calls"]]} if "tool_calls" in turn else turn


def _with_short_ids(turn: Turn) -> Turn:
    turn = _with_calls(turn, lambda call: {**call, "id": _short(call["id"])})
    return {**turn, "tool_call_id": _short(turn["tool_call_id"])} if "tool_call_id" in turn else turn


def _short(call_id: str) -> str:
    is_short = len(call_id) == _SHORT_ID and call_id.isascii() and call_id.isalnum()
    return call_id if is_short else hashlib.sha256(call_id.encode(errors="replace")).hexdigest()[:_SHORT_ID]


_SHORT_ID: Final = 9


def _with_text_arguments(call: TurnCall) -> TurnCall:
    arguments = call["function"]["arguments"]
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return {**call, "function": {"name": call["function"]["name"], "arguments": text}}


def _words_and_calls(turn: Turn) -> Iterator[Turn]:
    if "tool_calls" not in turn or not turn["content"]:
        yield turn
        return
    said: Turn = {"role": turn["role"], "content": turn["content"]}
    if "reasoning_content" in turn:
        said["reasoning_content"] = turn["reasoning_content"]
    yield said
    yield {**_without_thoughts(turn), "content": ""}


def _single_calls(turn: Turn) -> Iterator[Turn]:
    for number, call in enumerate(turn["tool_calls"]):
        first = {**_without_thoughts(turn), "content": ""} if number else turn
        yield {**first, "tool_calls": [call]}


def _place_of_result(told: Turns, result: Turn) -> int:
    """Behind its call and the results that it has already."""
    ids = [{call["id"] for call in turn.get("tool_calls", ())} for turn in told]
    place = next((i + 1 for i in reversed(range(len(told))) if result.get("tool_call_id") in ids[i]), len(told))
    while place < len(told) and told[place]["role"] == "tool":
        place += 1
    return place


def _say(role: str, content: str, name: str = "") -> Turn:
    turn: Turn = {"role": role, "content": content}
    if name:
        turn["name"] = name
    return turn


def _call(content: str, *ids: str) -> Turn:
    calls: list[TurnCall] = [
        {"id": call_id, "type": "function", "function": {"name": f"zqf{i}", "arguments": {"zqa": f"zqv{i}"}}}
        for i, call_id in enumerate(ids)
    ]
    return {"role": "assistant", "content": content, "tool_calls": calls}


def _thinking(turn: Turn) -> Turn:
    return {**turn, "reasoning_content": "zqthought"}


def _result(content: str, call_id: str, number: int = 0) -> Turn:
    return {"role": "tool", "content": content, "name": f"zqf{number}", "tool_call_id": call_id}


_SYSTEM, _ASK, _ANSWER, _MORE = (
    _say("system", "zqsystem"),
    _say("user", "zqask"),
    _say("assistant", "zqanswer"),
    _say("user", "zqmore"),
)
_ID, _LONG_ID, _OTHER_ID = "zqid00001", "call_zqid0000000000000000001", "zqid00002"
_END: Final = (_ANSWER, _MORE)

CALLED: Final = [_ASK, _call("", _ID), _result("zqresult", _ID), *_END]
"""A conversation in which a tool was called."""

SPELLED: Final = Repair(spelled, (CALLED, [_ASK, _call("", _ID), _result("zqresult", _ID)]))
"""Calls and results as text."""

REPAIRS: Final = (
    SPELLED,
    Repair(words_apart, ([_ASK, _call("zqwords", _ID), _result("zqresult", _ID), *_END],)),
    Repair(
        one_call_each,
        ([_ASK, _call("", _ID, _OTHER_ID), _result("zqresult", _ID), _result("zqother", _OTHER_ID, 1), *_END],),
    ),
    Repair(short_ids, ([_ASK, _call("", _LONG_ID), _result("zqresult", _LONG_ID), *_END],)),
    Repair(text_arguments, (CALLED,)),
    Repair(named, ([_say("user", "zqask", "zqann"), _ANSWER, _say("user", "zqmore", "zqbob")],)),
    Repair(
        without_thoughts,
        ([_ASK, _thinking(_call("zqwords", _ID)), _result("zqresult", _ID), *_END],),
        is_structural=True,
    ),
    Repair(without_empty, ([_ASK, _say("assistant", ""), _MORE], [_say("system", ""), _ASK]), is_structural=True),
    Repair(one_system, ([_SYSTEM, _say("system", "zqrule"), _ASK],), is_structural=True),
    Repair(system_first, ([_SYSTEM, _ASK, _ANSWER, _say("system", "zqrule"), _MORE],), is_structural=True),
    Repair(no_system, ([_SYSTEM, _ASK], [_SYSTEM, _ASK, *_END]), is_structural=True),
    Repair(user_first, ([_ANSWER, _MORE], [_SYSTEM, _ANSWER, _MORE]), is_structural=True),
    Repair(alternating, ([_ASK, _MORE], [_ASK, _ANSWER, _say("assistant", "zqagain"), _MORE]), is_structural=True),
)
