from typing import Final

import pytest

from models.tools.demand import Delivered
from models.tools.format import FORMATS, Spoken, ToolFormat
from models.tools.parser import CallParser
from models.tools.told import Arguments, CallBegun, Told, Words

CALLS: Final = (Spoken("look_up", '{"q": "a \\"}\\" b", "n": [1, {"x": 2}]}'), Spoken("now", "{}"))


def told(form: ToolFormat, pieces: list[str], delivered: str = "") -> list[Told]:
    """All events, neighbours of one kind joined."""
    parser = CallParser(form)
    parser.resume(delivered)
    events = [event for piece in pieces for event in parser.feed(piece)] + parser.flush()
    return joined(events)


def joined(events: list[Told]) -> list[Told]:
    out: list[Told] = []
    for event in events:
        last = out[-1] if out else None
        if isinstance(event, Words) and isinstance(last, Words):
            out[-1] = Words(last.text + event.text)
        elif isinstance(event, Arguments) and isinstance(last, Arguments) and last.index == event.index:
            out[-1] = Arguments(event.index, last.text + event.text)
        else:
            out.append(event)
    return out


EXPECTED: Final = [
    CallBegun(0, "look_up"),
    Arguments(0, CALLS[0].arguments),
    CallBegun(1, "now"),
    Arguments(1, "{}"),
]


@pytest.mark.parametrize("name", FORMATS)
def test_calls_are_read_as_they_are_spelled_however_the_text_is_cut(name: str) -> None:
    text = FORMATS[name].spell(CALLS, is_open=False)
    for size in (1, 2, 7, len(text)):
        pieces = [text[at : at + size] for at in range(0, len(text), size)]
        assert told(FORMATS[name], pieces) == EXPECTED


def had(events: list[Told]) -> Delivered:
    """What a client has that was told so."""
    words = "".join(event.text for event in events if isinstance(event, Words))
    calls = [
        Spoken(begun.name, "".join(e.text for e in events if isinstance(e, Arguments) and e.index == begun.index))
        for begun in events
        if isinstance(begun, CallBegun)
    ]
    return Delivered(words, calls)


@pytest.mark.parametrize("name", FORMATS)
def test_answer_goes_on_behind_whatever_the_client_has_with_nothing_told_twice(name: str) -> None:
    form = FORMATS[name]
    text = ("" if form.is_leading else "Wait a <b>.") + form.spell(CALLS, is_open=False)
    whole = told(form, [text])
    for cut in range(len(text)):
        before = CallParser(form).feed(text[:cut])
        delivered = had(before).spell(form)
        assert text.startswith(delivered)
        after = told(form, [text[len(delivered) :]], delivered)
        assert joined([*before, *after]) == whole


def test_words_before_calls_keep_all_but_the_spaces_in_between() -> None:
    text = "I look <i>it</i> up.\n\n" + FORMATS["hermes"].spell(CALLS, is_open=False)
    assert told(FORMATS["hermes"], list(text)) == [Words("I look <i>it</i> up."), *EXPECTED]


@pytest.mark.parametrize(
    "text", ["a < b", "<tool_cal", "<<tool_call", "ends in spaces \n ", '[{"name": 1}]', '{"name"']
)
@pytest.mark.parametrize("name", FORMATS)
def test_what_only_looks_like_a_call_is_words(name: str, text: str) -> None:
    assert told(FORMATS[name], list(text)) == [Words(text)]


def test_words_are_held_back_no_longer_than_they_may_become_a_call() -> None:
    parser = CallParser(FORMATS["hermes"])
    assert parser.feed("a <tool") == [Words("a")]
    assert parser.feed("box>") == [Words(" <toolbox>")]


@pytest.mark.parametrize("name", ["llama3", "mistral"])
def test_json_behind_words_is_no_call_where_calls_are_all_of_an_answer(name: str) -> None:
    text = "So: " + FORMATS[name].spell(CALLS, is_open=False)
    assert told(FORMATS[name], list(text)) == [Words(text)]


def test_words_that_the_client_has_are_not_told_again_though_they_were_held_back() -> None:
    assert told(FORMATS["hermes"], ["b>"], delivered="a <tool") == [Words("b>")]


def test_call_that_breaks_off_in_its_head_is_not_told() -> None:
    assert told(FORMATS["hermes"], ['Hm.<tool_call>\n{"name": "loo']) == [Words("Hm.")]


def test_arguments_that_break_off_are_told_so_far() -> None:
    form = FORMATS["hermes"]
    text = form.spell([Spoken("f", '{"a": "b')], is_open=True)
    assert told(form, [text]) == [CallBegun(0, "f"), Arguments(0, '{"a": "b')]
