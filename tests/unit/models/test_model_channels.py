"""Harmony: an answer as messages in channels."""

import pytest

from models.server.channels import FINAL, Channels
from models.server.thinking import Spoken, Thought

ANALYSIS = "<|channel|>analysis<|message|>"
NEXT = "<|end|><|start|>assistant"
CALL = "<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>"


def parted(text: str, size: int = 1) -> tuple[str, str]:
    """What is thought and what is said of a text that comes in pieces."""
    channels = Channels()
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    parts = [part for piece in pieces for part in channels.feed(piece)] + channels.flush()
    thought = "".join(part.text for part in parts if isinstance(part, Thought))
    return thought, "".join(part.text for part in parts if isinstance(part, Spoken))


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
@pytest.mark.parametrize(
    ("text", "thought", "said"),
    [
        (f"{ANALYSIS}a < b <|{NEXT}{FINAL}Yes. <b>", "a < b <|", "Yes. <b>"),
        (f"{FINAL}Yes.", "", "Yes."),
        (f"{ANALYSIS}a{NEXT}{ANALYSIS}b{NEXT}{FINAL}c", "a\n\nb", "c"),
        (f"{ANALYSIS}a{NEXT}<|channel|>commentary<|message|>Let me look.{NEXT}{FINAL}c", "a", "Let me look.\n\nc"),
        (f'{ANALYSIS}a{NEXT}{CALL}{{"x": 1}}', "a", '{"name": "get_weather", "arguments": {"x": 1}}'),
        (f" to=functions.f{ANALYSIS}{{}}<|end|>", "", '{"name": "f", "arguments": {}}'),
        (f"{ANALYSIS}a<|end|><|start|>assis", "a", ""),
        (f"{ANALYSIS}a<|en", "a<|en", ""),
        ("Yes.", "", "Yes."),
        (" to be", "", " to be"),
        (" t", "", " t"),
        ("<|chan", "", ""),
        (f"{ANALYSIS}a<|end|>Yes.", "a", "Yes."),
        ("<|channel|>" + "x" * 300 + "<|message|>y", "", "<|channel|>" + "x" * 300 + "<|message|>y"),
        ("", "", ""),
    ],
)
def test_messages_are_told_apart_however_the_text_is_cut(text: str, thought: str, said: str, size: int) -> None:
    assert parted(text, size) == (thought, said)


def test_words_are_not_held_back() -> None:
    channels = Channels()
    assert channels.feed(FINAL) == []
    assert [channels.feed(piece) for piece in ("H", "i", " <", "b")] == [
        [Spoken("H")],
        [Spoken("i")],
        [],
        [Spoken(" <b")],
    ]


@pytest.mark.parametrize(
    ("text", "is_thinking", "unclosed"),
    [
        ("", False, ""),
        (f"{ANALYSIS}a ", True, "a "),
        (f"{ANALYSIS}a{NEXT}", True, ""),
        (f"{ANALYSIS}a{NEXT}{FINAL}", False, ""),
        (f"{ANALYSIS}a{NEXT}{FINAL}b{NEXT}{ANALYSIS}c", True, ""),
    ],
)
def test_it_thinks_up_to_the_words(text: str, is_thinking: bool, unclosed: str) -> None:
    channels = Channels()
    channels.feed(text)
    assert (channels.is_thinking, channels.unclosed) == (is_thinking, unclosed)
