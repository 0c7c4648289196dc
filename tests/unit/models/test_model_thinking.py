import pytest

from models.server.marks import PAIRS
from models.server.thinking import THINK, Marks, Spoken, Thought, Thoughts


def parted(text: str, size: int = 1, *, is_open: bool = False, marks: Marks = THINK) -> tuple[str, str]:
    """What is thought and what is said of a text that comes in pieces."""
    thoughts = Thoughts(marks, is_open=is_open)
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


@pytest.mark.parametrize("marks", PAIRS)
def test_each_pair_of_marks_parts_thoughts_from_words(marks: Marks) -> None:
    text = f"{marks.opening}\na < [b]{marks.closing}Yes."
    assert [parted(text, size, marks=marks) for size in (1, 3, 100)] == [("a < [b]", "Yes.")] * 3
    assert parted(f"a{marks.cut}Yes.", is_open=True, marks=marks) == ("a", "Yes.")


def test_words_are_not_held_back() -> None:
    thoughts = Thoughts(is_open=False)
    assert [thoughts.feed(piece) for piece in ("H", "i ", "<")] == [[Spoken("H")], [Spoken("i ")], [Spoken("<")]]


@pytest.mark.parametrize(
    ("text", "unclosed"),
    [("<think> a\n</thi", "a\n</thi"), ("<think>a</think>", ""), ("<think>a</think>b", ""), ("b", ""), ("", "")],
)
def test_thoughts_are_unclosed_until_their_end(text: str, unclosed: str) -> None:
    thoughts = Thoughts(is_open=False)
    for letter in text:
        thoughts.feed(letter)
    assert thoughts.unclosed == unclosed
