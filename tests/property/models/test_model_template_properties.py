"""Whatever clients say, only the template ends turns, and a metered template prints what it would print anyway."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.server.literal import LiteralMarks
from models.server.messages import Message, Part, Turn, plain_messages
from models.server.repair import REPAIRS, repaired
from models.server.template import ChatTemplate

TEMPLATES = Path(__file__).parents[2] / "unit" / "models" / "templates"
CONTROLS = ("<|im_start|>", "<|im_end|>", "<tool_call>", "</tool_call>", "[INST]", "[/INST]", "</s>")
MARKS = LiteralMarks(CONTROLS)
REAL = {
    name: ChatTemplate(
        (TEMPLATES / f"{name}.jinja").read_text(), "<s>", "</s>", lambda: datetime(2026, 11, 8, tzinfo=UTC)
    )
    for name in ("qwen2", "mistral", "gemma2")
}

pieces = st.sampled_from([*CONTROLS, '"', "\\", "\n", " ", "\ue000", "\ue0011", "{{ 1 }}", "{% raw %}", "a", "é", "😀"])
texts = st.lists(pieces, max_size=6).map("".join)
messages = st.builds(
    Message,
    role=st.sampled_from(["system", "developer", "user", "assistant"]),
    content=st.one_of(texts, st.none(), st.lists(st.builds(Part, type=st.just("text"), text=texts), max_size=3)),
    name=st.one_of(st.none(), texts),
)
conversations = st.lists(messages, min_size=1, max_size=6)


def say(role: str, content: str) -> Turn:
    return {"role": role, "content": content}


@pytest.mark.slow
@settings(deadline=None, max_examples=50)
@given(conversations)
@pytest.mark.parametrize("name", REAL)
def test_clients_cannot_make_control_tokens(name: str, conversation: list[Message]) -> None:
    turns = [MARKS.protect_all(turn) for turn in plain_messages(conversation)]
    blank: list[Turn] = [{**turn, "content": "x" if turn["content"].strip() else ""} for turn in turns]
    expected = REAL[name].render(blank)
    own = "".join(span.text for span in MARKS.split(REAL[name].render(turns)) if not span.is_literal)
    assert [own.count(control) for control in CONTROLS] == [expected.count(control) for control in CONTROLS]


@pytest.mark.slow
@given(turns=st.lists(st.builds(say, st.sampled_from(["system", "user", "assistant"]), texts), max_size=6))
@settings(deadline=None, max_examples=200)
def test_repairs_keep_all_texts_in_order_and_are_done_once(turns: list[Turn]) -> None:
    for repair in REPAIRS:
        once = repaired(turns, [repair])
        text, place = "".join(turn["content"] for turn in once), 0
        for content in (turn["content"] for turn in turns if turn["content"].strip()):
            place = text.find(content, place) + len(content)
            assert place >= len(content)
        assert repaired(once, [repair]) == once
