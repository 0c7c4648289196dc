"""What a plain client makes of a chat stream: it appends whatever comes under an index."""

import json
from dataclasses import dataclass, field
from typing import Any

from proxy.wire import sse
from tests.fakes.spoken import Answer, Call


@dataclass(eq=False)
class Heard:
    """Of one answer."""

    text: str = ""
    refusal: str = ""
    calls: dict[int, list[str]] = field(default_factory=dict)
    roles: int = 0
    ends: list[str] = field(default_factory=list)

    @property
    def answer(self) -> Answer:
        """All of it. The calls have to be numbered from 0."""
        assert sorted(self.calls) == list(range(len(self.calls)))
        return Answer(self.text, tuple(Call(*self.calls[index]) for index in range(len(self.calls))), self.refusal)

    def add(self, row: dict[str, Any]) -> None:
        """One choice of one event."""
        delta = row["delta"]
        self.text += delta.get("content") or ""
        self.refusal += delta.get("refusal") or ""
        self.roles += "role" in delta
        self.ends += [row["finish_reason"]] if row.get("finish_reason") else []
        only = delta.get("function_call")
        for entry in [{"index": 0, "function": only}] if only else delta.get("tool_calls") or ():
            call = self.calls.setdefault(entry["index"], ["", "", ""])
            function = entry.get("function", {})
            call[0] += entry.get("id") or ""
            call[1] += function.get("name") or ""
            call[2] += function.get("arguments") or ""


def heard(stream: bytes, choices: int = 1) -> list[Heard]:
    """Each answer of a stream of whole events."""
    answers = [Heard() for _ in range(choices)]
    for data in sse.payloads(stream):
        for row in json.loads(data)["choices"] if data != b"[DONE]" else ():
            answers[row["index"]].add(row)
    return answers
