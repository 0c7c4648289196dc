"""What a template tells of how its model thinks."""

import pytest

from models.server.channels import FINAL, Channels
from models.server.marks import NEVER, PAIRS, Thinking, thinking_of
from models.server.thinking import THINK, Marks, Thoughts

CHANNELS = Thinking(has_channels=True)


@pytest.mark.parametrize(
    ("template", "prompt", "expected"),
    [
        (None, "user: Hi", NEVER),
        ("{{ messages }}", "Hi", NEVER),
        ("{% if '<think>' in content %}", "assistant\n", Thinking(THINK)),
        ("…<think>…", "assistant<think>\n", Thinking(THINK, is_opened=True)),
        ("…<think>…", "assistant<think>\n\n</think>\n\n", Thinking(THINK)),
        ("{{ '<|channel|>analysis<|message|>' + thoughts }}", "<|start|>assistant", CHANNELS),
        ("{{ '<|channel>thought\\n' + thoughts + '<channel|>' }}", "<|turn>model\n", Thinking(PAIRS[4])),
    ],
)
def test_template_and_prompt_say_how_a_model_thinks(template: str | None, prompt: str, expected: Thinking) -> None:
    assert thinking_of(template, prompt) == expected


@pytest.mark.parametrize("marks", PAIRS)
def test_each_pair_is_known_by_its_opening_in_the_template_or_at_the_end_of_the_prompt(marks: Marks) -> None:
    assert thinking_of(f"x {marks.opening} y", "assistant") == Thinking(marks)
    assert thinking_of("", f"assistant{marks.opening}\n") == Thinking(marks, is_opened=True)


def test_opened_marks_count_more_than_those_that_are_only_named() -> None:
    assert thinking_of("<think> [THINK]", "assistant[THINK]").marks == PAIRS[1]


@pytest.mark.parametrize(
    ("thinking", "cut", "marks_text"),
    [
        (NEVER, "", ""),
        (Thinking(THINK), "", "<think></think>"),
        (Thinking(PAIRS[1], is_opened=True), "[/THINK]", "[THINK][/THINK]"),
        (CHANNELS, FINAL, "<|start|><|channel|><|constrain|><|message|><|end|>"),
    ],
)
def test_answer_without_thoughts_begins_behind_their_end(thinking: Thinking, cut: str, marks_text: str) -> None:
    assert (thinking.cut, thinking.marks_text) == (cut, marks_text)


@pytest.mark.parametrize(("thinking", "kind"), [(NEVER, type(None)), (Thinking(THINK), Thoughts), (CHANNELS, Channels)])
def test_reader_is_that_of_the_marks(thinking: Thinking, kind: type) -> None:
    assert type(thinking.reader()) is kind
    assert thinking.is_possible is (thinking != NEVER)
