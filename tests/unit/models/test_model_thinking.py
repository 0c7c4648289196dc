import pytest

from models.server.thinking import Spoken, Thinking, Thought, Thoughts, thinking_of


def parted(text: str, size: int = 1, *, is_open: bool = False) -> tuple[str, str]:
    """What is thought and what is said of a text that comes in pieces."""
    thoughts = Thoughts(is_open=is_open)
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    parts = [part for piece in pieces for part in thoughts.feed(piece)] + thoughts.flush()
    thought = "".join(part.text for part in parts if isinstance(part, Thought))
    return thought, "".join(part.text for part in parts if isinstance(part, Spoken))


@pytest.mark.parametrize("size", [1, 2, 5, 100])
@pytest.mark.parametrize(
    ("text", "is_open", "thought", "said"),
    [
        ("<think>\na < b,\n</thin> so.\n</think>\n\nYes. </think>\n", False, "a < b,\n</thin> so.", "Yes. </think>\n"),
        ("\na.\n</think>\n\nYes.", True, "a.", "Yes."),
        ("<think>\n\n</think>\n\nYes.", False, "", "Yes."),
        (" \n<think>a</think>b", False, "a", "b"),
        ("Yes, <think>no</think>.\n", False, "", "Yes, <think>no</think>.\n"),
        ("<thi", False, "", "<thi"),
        (" <b>", False, "", " <b>"),
        ("<think>a </thi", False, "a </thi", ""),
        ("", True, "", ""),
    ],
)
def test_thoughts_are_parted_from_words_however_the_text_is_cut(
    text: str, is_open: bool, thought: str, said: str, size: int
) -> None:
    assert parted(text, size, is_open=is_open) == (thought, said)


def test_words_are_not_held_back() -> None:
    thoughts = Thoughts(is_open=False)
    assert [thoughts.feed(piece) for piece in ("H", "i ", "<")] == [[Spoken("H")], [Spoken("i ")], [Spoken("<")]]


@pytest.mark.parametrize(
    ("template", "prompt", "expected"),
    [
        (None, "user: Hi", Thinking.NEVER),
        ("{{ messages }}", "Hi", Thinking.NEVER),
        ("{% if '<think>' in content %}", "assistant\n", Thinking.ITSELF),
        ("…<think>…", "assistant<think>\n", Thinking.OPENED),
    ],
)
def test_template_and_prompt_say_how_a_model_thinks(template: str | None, prompt: str, expected: Thinking) -> None:
    assert thinking_of(template, prompt) is expected
