"""Thoughts and words are the same however an answer is cut into pieces, and no word is lost."""

import itertools
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from models.server.channels import FINAL, Channels
from models.server.marks import PAIRS, Thinking
from models.server.thinking import Spoken, Thought, ThoughtReader

KINDS = st.sampled_from(
    [Thinking(has_channels=True), *(Thinking(marks, is_opened=opened) for marks in PAIRS for opened in (False, True))]
)
MARKS = ["<|start|>assistant", "<|channel|>analysis", "<|channel|>commentary to=functions.f", "<|message|>", "<|end|>"]
TEXTS = st.lists(
    st.sampled_from([*MARKS, FINAL, "<|", "<", " ", "\n", "a", "é", " to=", *(pair.opening for pair in PAIRS)])
    | st.sampled_from([pair.closing for pair in PAIRS]),
    max_size=12,
).map("".join)
CUTS = st.lists(st.integers(0, 120), max_size=8)


def pieces(text: str, cuts: Sequence[int]) -> list[str]:
    places = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    return [text[start:end] for start, end in itertools.pairwise(places)]


def parted(reader: ThoughtReader | None, parts: list[str]) -> tuple[str, str, str, bool]:
    assert reader is not None
    found = [one for part in parts for one in reader.feed(part)]
    unclosed, is_thinking = reader.unclosed, reader.is_thinking
    found += reader.flush()
    thought = "".join(one.text for one in found if isinstance(one, Thought))
    said = "".join(one.text for one in found if isinstance(one, Spoken))
    return thought, said, unclosed, is_thinking


@given(KINDS, TEXTS, CUTS)
def test_parts_are_the_same_however_the_answer_is_cut(kind: Thinking, text: str, cuts: list[int]) -> None:
    assert parted(kind.reader(), pieces(text, cuts)) == parted(kind.reader(), [text])


@given(KINDS, TEXTS)
def test_thoughts_without_an_end_are_all_that_there_is(kind: Thinking, text: str) -> None:
    thought, said, unclosed, _ = parted(kind.reader(), [text])
    assert unclosed in {"", thought}
    assert not (unclosed and said)


@given(TEXTS, CUTS)
def test_answer_that_says_it_is_final_is_words_to_the_last_letter(text: str, cuts: list[int]) -> None:
    words = text.replace("<|end|>", "")
    assert parted(Channels(), pieces(FINAL + words, cuts))[:2] == ("", words)
