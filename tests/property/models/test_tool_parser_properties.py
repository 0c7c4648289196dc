"""Words and calls are told apart in the same way, however an answer is cut and whatever it says."""

import json
import re
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from models.server.thinking import Spoken as Saying
from models.server.thinking import Thoughts
from models.tools.format import FORMATS, Spoken, ToolFormat
from models.tools.lead import lead_of
from models.tools.parser import CallParser
from models.tools.told import Arguments, CallBegun, Told, Words

FORMS = st.sampled_from(list(FORMATS.values()))
TRICKY = st.lists(
    st.sampled_from(
        ["<tool_call>\n", '{"name": "', '", "arguments": ', '", "parameters": ', "{", "}", '"', "\\", "[", "]"]
    )
    | st.text(max_size=5),
    max_size=12,
).map("".join)
SHORT = st.text(max_size=6)
VALUES = st.none() | st.integers() | SHORT | st.lists(SHORT, max_size=2) | st.dictionaries(SHORT, SHORT, max_size=2)
CALLS = st.lists(
    st.builds(
        Spoken,
        st.from_regex(r"[a-zA-Z0-9_-]{1,9}", fullmatch=True),
        st.dictionaries(SHORT, VALUES, max_size=3).map(json.dumps),
    ),
    min_size=1,
    max_size=3,
)


def pieces(text: str, cuts: list[int]) -> list[str]:
    places = [0, *sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    return [text[start:end] for start, end in pairwise(places)]


def told(form: ToolFormat, parts: list[str]) -> list[Told]:
    parser = CallParser(form)
    return [event for part in parts for event in parser.feed(part)] + parser.flush()


def summed(events: list[Told]) -> tuple[str, list[tuple[str, str]]]:
    words = "".join(event.text for event in events if isinstance(event, Words))
    calls: list[tuple[str, str]] = []
    for event in events:
        if isinstance(event, CallBegun):
            calls.append((event.name, ""))
        elif isinstance(event, Arguments):
            calls[-1] = (calls[-1][0], calls[-1][1] + event.text)
    return words, calls


@given(FORMS, TRICKY, st.lists(st.integers(0, 200), max_size=8))
def test_cuts_make_no_difference(form: ToolFormat, text: str, cuts: list[int]) -> None:
    assert summed(told(form, pieces(text, cuts))) == summed(told(form, [text]))


@given(FORMS, CALLS, st.lists(st.integers(0, 200), max_size=8))
def test_every_call_that_is_spelled_is_read(form: ToolFormat, calls: list[Spoken], cuts: list[int]) -> None:
    text = form.spell(calls, is_open=False)
    assert summed(told(form, pieces(text, cuts))) == ("", [(call.name, call.arguments) for call in calls])


@given(FORMS, TRICKY)
def test_text_without_a_marker_is_words_to_the_last_letter(form: ToolFormat, text: str) -> None:
    if form.marker not in text:
        assert summed(told(form, [*text])) == (text, [])


@given(st.text("<think>/ \nab", max_size=30), st.booleans(), st.lists(st.integers(0, 30), max_size=6))
def test_thoughts_are_the_same_however_they_are_cut(text: str, is_open: bool, cuts: list[int]) -> None:
    def parted(parts: list[str]) -> tuple[str, str]:
        thoughts = Thoughts(is_open=is_open)
        found = [one for part in parts for one in thoughts.feed(part)] + thoughts.flush()
        said = "".join(one.text for one in found if isinstance(one, Saying))
        return said, "".join(one.text for one in found if not isinstance(one, Saying))

    assert parted(pieces(text, cuts)) == parted([text])


NAMES = ("f", "fun", "g")
CALLING = re.compile(
    r'\s*(```\s*(json\s*)?)?(\[\s*)?\{\s*"name"\s*:\s*"(f|fun|g)"\s*,\s*"(arguments|parameters)"\s*:\s*\{', re.ASCII
)
NEARLY = st.lists(
    st.sampled_from(
        [
            *(" ", "\n", "```", "json", "[", "{", "}", '"name"', ":", '"', '"f"', '"fun"', '"x"', ",", "{}"),
            *('"arguments"', '"parameters"', '{"name": "f', '", "arguments": ', '", "parameters": {'),
        ]
    )
    | st.text(max_size=3),
    max_size=14,
).map("".join)


def plainly(parts: list[str]) -> tuple[str, list[tuple[str, str]]]:
    parser = CallParser(FORMATS["hermes"], lead_of(FORMATS["hermes"], NAMES))
    return summed([event for part in parts for event in parser.feed(part)] + parser.flush())


@given(NEARLY, st.lists(st.integers(0, 200), max_size=8))
def test_answer_is_words_to_the_last_letter_unless_it_begins_with_a_call(text: str, cuts: list[int]) -> None:
    words, calls = plainly(pieces(text, cuts))
    if CALLING.match(text):
        assert (words, calls[:1] != []) == ("", True)
    else:
        assert (words, calls) == (text, [])


@given(
    CALLS,
    st.sampled_from([None, 0, 2]),
    st.sampled_from(["{}", "[{}]", "```json\n{}\n```"]),
    st.lists(st.integers(0, 200)),
)
def test_every_call_in_plain_json_is_read(calls: list[Spoken], indent: int | None, form: str, cuts: list[int]) -> None:
    named = [Spoken(NAMES[place], call.arguments) for place, call in enumerate(calls)]
    rows = [{"name": call.name, "arguments": json.loads(call.arguments)} for call in named]
    text = form.replace("{}", ",\n".join(json.dumps(row, indent=indent) for row in rows))
    words, read = plainly(pieces(text, cuts))
    assert words == ""
    assert [(name, json.loads(arguments)) for name, arguments in read] == [
        (call.name, json.loads(call.arguments)) for call in named
    ]
