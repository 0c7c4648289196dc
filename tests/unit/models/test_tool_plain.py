"""Calls in plain JSON at the beginning of an answer, where the model's family has another spelling."""

from typing import Final

import pytest

from models.tools.format import FORMATS, Spoken
from models.tools.lead import lead_of
from models.tools.parser import CallParser
from models.tools.told import Arguments, CallBegun, Told, Words

NAMES: Final = ("look_up", "look", "now")
HERMES: Final = FORMATS["hermes"]

ARGUMENTS: Final = '{"q": "a \\"}\\" ```", "n": [1, {"x": 2}]}'
ONE: Final = [("look_up", ARGUMENTS)]
TWO: Final = [("look_up", ARGUMENTS), ("now", "{}")]
BARE: Final = f'{{"name": "look_up", "arguments": {ARGUMENTS}}}'
NOW: Final = '{"name": "now", "parameters": {}}'

CALLING: Final = [
    (BARE, ONE),
    (f" \n{BARE}\n", ONE),
    (BARE.replace("arguments", "parameters"), ONE),
    (BARE.replace(": ", ":").replace(", ", ","), [("look_up", ARGUMENTS.replace(": ", ":").replace(", ", ","))]),
    (f'{{\n  "name" : "look_up" ,\n\t"arguments"\n: {ARGUMENTS}\n}}', ONE),
    (f"```json\n{BARE}\n```", ONE),
    (f"```\n{BARE}\n```\n", ONE),
    (f"[{BARE}]", ONE),
    (f"```json\n[\n  {BARE},\n  {NOW}\n]\n```", TWO),
    (f"{BARE}\n{NOW}", TWO),
    (f"{BARE}; {NOW}", TWO),
    ('{"name": "look", "arguments": {}}', [("look", "{}")]),
]

WORDS: Final = [
    "",
    " \n",
    "Hi",
    "{",
    "[1, 2]",
    "```python\nprint()\n```",
    "```json\n{}\n```",
    '{"name": "John", "age": 3}',
    '{"name": "looking", "arguments": {}}',
    '{"name": "loo", "arguments": {}}',
    '{"name": "look_up"}',
    '{"name": "look_up", "args": {}}',
    '{"name": "look_up", "arguments": "text"}',
    '{"name": "look_up", "arguments": ["q"]}',
    '{"arguments": {}, "name": "look_up"}',
    '[[{"name": "now", "arguments": {}}]]',
    f"So: {BARE}",
    BARE[: BARE.index(ARGUMENTS)],
]


def parser(form: str = "hermes") -> CallParser:
    return CallParser(FORMATS[form], lead_of(FORMATS[form], NAMES))


def summed(events: list[Told]) -> tuple[str, list[tuple[str, str]]]:
    words = "".join(event.text for event in events if isinstance(event, Words))
    begun = [event for event in events if isinstance(event, CallBegun)]
    texts = ["".join(e.text for e in events if isinstance(e, Arguments) and e.index == one.index) for one in begun]
    return words, [(one.name, text) for one, text in zip(begun, texts, strict=True)]


def told(pieces: list[str], form: str = "hermes") -> tuple[str, list[tuple[str, str]]]:
    reading = parser(form)
    return summed([event for piece in pieces for event in reading.feed(piece)] + reading.flush())


def halves(text: str) -> list[list[str]]:
    """Every cut of a text in two, and all its letters apart."""
    return [[*text], *([text[:cut], text[cut:]] for cut in range(len(text) + 1))]


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(("text", "calls"), CALLING)
def test_calls_in_plain_json_are_read_however_the_text_is_cut(
    form: str, text: str, calls: list[tuple[str, str]]
) -> None:
    assert all(told(pieces, form) == ("", calls) for pieces in halves(text))


# Where the family's own spelling has begun, the grammar lets nothing else follow.
@pytest.mark.parametrize(
    ("form", "text"),
    [(name, text) for name, form in FORMATS.items() for text in WORDS if not (form.is_leading and form.marker in text)],
)
def test_what_only_looks_like_a_call_is_words_to_the_last_letter(form: str, text: str) -> None:
    assert all(told(pieces, form) == (text, []) for pieces in halves(text))


@pytest.mark.parametrize("form", FORMATS)
def test_spelling_of_the_family_is_still_read(form: str) -> None:
    calls = [Spoken(*call) for call in TWO]
    assert told([*FORMATS[form].spell(calls, is_open=False)], form) == ("", TWO)


def test_spelling_of_the_family_is_read_behind_json_that_is_no_call() -> None:
    text = '{"name": "John"}\n' + HERMES.spell([Spoken(*TWO[1])], is_open=False)
    assert told([*text]) == ('{"name": "John"}', TWO[1:])


@pytest.mark.parametrize(
    ("held", "released"),
    [
        ("", "H"),
        ("\n", "H"),
        ("``", "a"),
        ("```", "p"),
        ("```json\n", "1"),
        ('{"', "a"),
        ('{"name": "', "J"),
        ('{"name": "loo', "p"),
        ('{"name": "look_up"', "}"),
        ('{"name": "look_up", "', "x"),
        ('{"name": "look_up", "arguments": ', '"'),
    ],
)
def test_words_are_held_back_no_longer_than_they_may_become_a_call(held: str, released: str) -> None:
    reading = parser()
    assert reading.feed(held) == []
    assert reading.feed(released) == [Words(held + released)]


def test_arguments_are_told_as_they_come() -> None:
    reading = parser()
    assert reading.feed('{"name": "now", "arguments": {"a') == [CallBegun(0, "now"), Arguments(0, '{"a')]
    assert reading.feed('": 1}') == [Arguments(0, '": 1}')]


def test_call_that_breaks_off_in_its_arguments_is_told_so_far() -> None:
    assert told([BARE[:-5]]) == ("", [("look_up", ARGUMENTS[:-4])])


def test_space_that_the_client_has_is_not_told_again() -> None:
    reading = parser()
    reading.resume("\n ")
    assert summed(reading.feed(" Hi")) == (" Hi", [])


def test_nothing_but_calls_follows_a_call() -> None:
    assert told([f"{BARE}\nThat is it. {NOW}"]) == ("", ONE)


@pytest.mark.parametrize("form", ["llama3", "mistral"])
def test_words_that_are_spelled_like_a_call_go_on_as_words(form: str) -> None:
    text = FORMATS[form].spell([Spoken("now", '{"a": 1}')], is_open=False)
    for cut in range(1, len(text)):
        reading = CallParser(FORMATS[form])
        reading.resume(text[:cut], has_calls=False)
        assert summed(reading.feed(text[cut:]) + reading.flush()) == (text[cut:], [])


@pytest.mark.parametrize("form", FORMATS)
def test_very_many_names_are_only_read_as_the_family_spells_them(form: str) -> None:
    names = [f"{number}_{'long' * 15}" for number in range(100)]
    lead = lead_of(FORMATS[form], names)
    assert (len(lead.steps) < 100, lead.called) == (True, {})
