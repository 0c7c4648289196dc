"""Grammars that would exhaust llama.cpp's stack or memory are refused by their text."""

import pytest

from models.engine.gbnf import MAX_BYTES, MAX_NESTING, MAX_REPEATED, check_cost
from models.errors import GrammarInvalid


@pytest.mark.parametrize(
    "text",
    [
        'root ::= "a"',
        "root ::= " + "(" * MAX_NESTING + '"a"' + ")" * MAX_NESTING,
        'root ::= "' + "(" * 5000 + '"',
        "root ::= [" + "(" * 5000 + "]",
        'root ::= "a" # ' + "(" * 5000,
        'root ::= "\\"' + "(" * 5000 + '" [^"\\]' + "{9999999}" * 9 + "]",
        f'root ::= "a"{{0,{MAX_REPEATED}}}',
        'root ::= "' + "é" * 1000 + '"{20}',
        "root ::= a" + " a" * 20_000 + '\na ::= "b"',
        "",
    ],
)
def test_what_costs_little_passes(text: str) -> None:
    check_cost(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('root ::= "' + "a" * MAX_BYTES + '"', "longer"),
        ('root ::= "' + "é" * (MAX_BYTES // 2) + '"', "longer"),
        ('root ::= "a"\0', "NUL"),
        ("root ::= " + "(" * (MAX_NESTING + 1), "nests"),
        ('root ::= "[" ' + "(" * (MAX_NESTING + 1), "nests"),
        (f'root ::= "a"{{{MAX_REPEATED + 1}}}', "repeats"),
        ('root ::= "a"' + "{2000}" * 11, "repeats"),
        ('root ::= "' + "a" * 1000 + '"{100}', "repeats"),
        ('root ::= ["a-z]{' + "9" * 5000 + "}", "repeats"),
        ('root ::= "a" # "\n{10} {99999999}', "repeats"),
    ],
)
def test_what_would_take_the_process_down_is_refused(text: str, reason: str) -> None:
    with pytest.raises(GrammarInvalid, match=reason) as refusal:
        check_cost(text)
    assert (refusal.value.status, refusal.value.param) == (400, "grammar")
