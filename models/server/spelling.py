"""Tools, calls and results as plain text, for templates that know nothing of them. Pure.

The spelling is that of Hermes, which many models were trained on, and which others copy easily. It is short: a small
model forgets long instructions, and they take the place of the conversation.
"""

import json
from collections.abc import Sequence
from typing import Final

from models.server.messages import Tool, Turn, TurnCall
from models.tools.format import FORMATS, Spoken

_FORM: Final = FORMATS["generic"]

_INTRODUCTION: Final = """\
You can call functions. To call one, answer with this and nothing else:
<tool_call>
{"name": <function name>, "arguments": <JSON object>}
</tool_call>
What it returns comes back between <tool_response> and </tool_response>. The functions, with the schema of their \
arguments:"""


def described(tools: Sequence[Tool]) -> str:
    """What a system message says of the tools."""
    return "\n".join([_INTRODUCTION, *(json.dumps(tool["function"], ensure_ascii=False) for tool in tools)])


def with_described(turns: list[Turn], tools: Sequence[Tool]) -> list[Turn]:
    """The conversation, whose system message also describes the tools."""
    text = described(tools)
    if turns and turns[0]["role"] == "system":
        return [{**turns[0], "content": f"{turns[0]['content']}\n\n{text}"}, *turns[1:]]
    return [{"role": "system", "content": text}, *turns]


def spelled(turns: list[Turn]) -> list[Turn]:
    """The conversation with calls and results as text; the user tells the results, several in one turn."""
    told: list[Turn] = []
    for turn in turns:
        if turn["role"] != "tool":
            told.append(_with_calls_told(turn))
            continue
        result = f"<tool_response>\n{turn['content']}\n</tool_response>"
        if told and told[-1]["content"].endswith("\n</tool_response>") and told[-1]["role"] == "user":
            told[-1] = {"role": "user", "content": f"{told[-1]['content']}\n{result}"}
        else:
            told.append({"role": "user", "content": result})
    return told


def _with_calls_told(turn: Turn) -> Turn:
    if "tool_calls" not in turn:
        return turn
    calls = _FORM.spell([_spoken(call) for call in turn["tool_calls"]], is_open=False)
    said = turn.copy()
    del said["tool_calls"]
    said["content"] = f"{turn['content']}\n{calls}" if turn["content"] else calls
    return said


def _spoken(call: TurnCall) -> Spoken:
    return Spoken(call["function"]["name"], json.dumps(call["function"]["arguments"], ensure_ascii=False))
