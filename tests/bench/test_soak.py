"""What is thrown, what is judged, and the soak in small."""

import json
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from models.server.request import decode_chat, decode_completion
from tests.bench import soak
from tests.bench.caprice import Caprice, fault_of_status, fault_of_stream, fault_of_whole, throw
from tests.bench.soak import Soak

MIB = 2**20


def caprice(pattern: str | None = None, **body: Any) -> Caprice:
    return Caprice("/completions", {"stream": True, "grammar": "…"} | body, {}, None, frozenset({200}), pattern)


def line(text: str = "", reason: str | None = None, index: int = 0) -> str:
    choice = {"index": index, "text": text, "finish_reason": reason}
    return f"data: {json.dumps({'choices': [choice]})}\n"


DONE = "data: [DONE]\n"


def test_same_dice_throw_the_same_requests() -> None:
    first, again = ([throw(dice, "m") for _ in range(50)] for dice in (Random(3), Random(3)))
    assert first == again


def test_all_kinds_are_thrown_and_all_of_them_are_valid() -> None:
    dice = Random(1)
    thrown = [throw(dice, "m") for _ in range(500)]
    for each in thrown:
        decode = decode_chat if each.path == "/chat/completions" else decode_completion
        assert decode(json.dumps(each.body).encode()).model == "m"
    assert {each.is_streamed for each in thrown} == {True, False}
    assert {tuple(sorted(map(int, each.statuses))) for each in thrown} == {(200,), (200, 503), (400,)}
    assert any(each.pattern for each in thrown)
    assert any(each.leaves_after_lines == 0 for each in thrown)


def test_complete_stream_has_no_fault() -> None:
    assert fault_of_stream(caprice("ab"), [line("a"), "\n", line("b", "stop"), DONE]) is None


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        ([], "without an end"),
        ([line("a", "stop")], "without an end"),
        ([line("a"), DONE], "ends {}"),
        ([line("a", "cancelled"), DONE], "cancelled"),
        ([line("a", "stop", index=1), DONE], "ends {1"),
        ([line("x", "stop"), DONE], "against the grammar"),
    ],
)
def test_stream_that_is_not_right_is_found_out(lines: list[str], fault: str) -> None:
    assert fault in (fault_of_stream(caprice("a"), lines) or "")


@pytest.mark.parametrize("choices", [1, 2])
def test_only_one_of_several_choices_may_expire_while_another_runs(choices: int) -> None:
    asked = replace(caprice(n=choices), statuses=frozenset({200, 503}))
    refusal = 'data: {"error":{"message":"the deadline passed","code":"overloaded"}}\n'
    assert (fault_of_stream(asked, [line("a"), refusal]) is None) is (choices == 2)


def test_answer_cut_by_its_length_need_not_follow_the_grammar_to_its_end() -> None:
    body = json.dumps({"choices": [{"index": 0, "text": "a", "finish_reason": "length"}]})
    assert fault_of_whole(caprice("ab"), body) is None


def test_whole_answer_with_a_choice_missing_is_found_out() -> None:
    body = json.dumps({"choices": [{"index": 0, "message": {"content": "a"}, "finish_reason": "stop"}]})
    assert "ends {0: 'stop'}" in (fault_of_whole(caprice(n=2), body) or "")


def test_status_that_was_not_expected_is_a_fault() -> None:
    assert fault_of_status(caprice(), 200, "") is None
    assert fault_of_status(caprice(), 500, "oh") == "status 500: oh"


def test_memory_is_compared_with_what_it_was_when_warm() -> None:
    grown = Soak(readings=[(1000, 50 * MIB), (2000, 100 * MIB), (3000, 120 * MIB)], is_idle=True)
    flat = Soak(readings=[(1000, 50 * MIB), (2000, 100 * MIB), (3000, 109 * MIB)], is_idle=True)
    assert grown.verdict() == ["the server's memory has grown to 1.20 of what it was when warm"]
    assert flat.verdict() == []


def test_everything_that_went_wrong_is_said() -> None:
    bad = Soak(faults=["first", "second"], readings=[(10, MIB)], tracebacks=3)
    assert bad.verdict() == [
        "2 wrong answers, such as:",
        "first",
        "second",
        "something still runs or waits, though nobody is there",
        "3 tracebacks in the server's log",
    ]


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    "flags", [[], ["--flags", "kv=unified", "share-prefixes", "parallel=4"]], ids=["split", "pool"]
)
def test_server_survives_a_short_soak(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert soak.main(["--requests", "150", *flags]) == 0, capsys.readouterr().out
