from typing import Any

import msgspec
import pytest

from models.errors import RequestError
from models.server.offer import Choice, Function, Named, Offer, Tool, offer_of_functions, offer_of_tools

TOOLS = msgspec.convert([{"type": "function", "function": {"name": name}} for name in ("f", "g", "h")], list[Tool])
FUNCTIONS = [Function("f"), Function("g")]


def offered(choice: Any, *, is_parallel: bool = True) -> Offer | None:
    wanted = msgspec.convert(choice, Choice) if isinstance(choice, dict) else choice
    return offer_of_tools(TOOLS, wanted, is_parallel=is_parallel)


def allowed(mode: str, *names: str) -> dict[str, Any]:
    tools = [{"type": "function", "function": {"name": name}} for name in names]
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}}


@pytest.mark.parametrize(
    ("choice", "names", "is_forced", "is_single", "finish"),
    [
        (None, ["f", "g", "h"], False, False, "tool_calls"),
        ("auto", ["f", "g", "h"], False, False, "tool_calls"),
        ("required", ["f", "g", "h"], True, False, "tool_calls"),
        ({"type": "function", "function": {"name": "g"}}, ["g"], True, True, "stop"),
        (allowed("auto", "g", "h"), ["g", "h"], False, False, "tool_calls"),
        (allowed("required", "h"), ["h"], True, False, "tool_calls"),
    ],
)
def test_choice_says_what_may_be_called(
    choice: Any, names: list[str], is_forced: bool, is_single: bool, finish: str
) -> None:
    offer = offered(choice)
    assert offer is not None
    assert (list(offer.names), offer.is_forced, offer.is_single, offer.finish) == (names, is_forced, is_single, finish)


def test_model_is_told_of_all_tools_whichever_are_allowed() -> None:
    offer = offered(allowed("auto", "g"))
    assert offer is not None
    assert [tool["function"]["name"] for tool in offer.tools] == ["f", "g", "h"]


def test_one_call_at_a_time_where_the_client_wants_that() -> None:
    offer = offered("auto", is_parallel=False)
    assert offer is not None
    assert offer.is_single


def test_nothing_is_offered_without_tools_or_where_none_may_be_called() -> None:
    assert offered("none") is None
    assert offer_of_tools([], "auto", is_parallel=True) is None
    assert offer_of_functions(FUNCTIONS, "none") is None


def test_tools_that_are_no_functions_are_left_out() -> None:
    tools = [*TOOLS[:1], *msgspec.convert([{"type": "custom", "custom": {"name": "c"}}], list[Tool])]
    offer = offer_of_tools(tools, "auto", is_parallel=True)
    assert offer is not None
    assert list(offer.functions) == ["f"]


def test_older_fields_offer_one_call_in_the_older_shape() -> None:
    free, named = offer_of_functions(FUNCTIONS, "auto"), offer_of_functions(FUNCTIONS, Named("g"))
    assert free is not None
    assert named is not None
    assert (free.is_legacy, free.is_single, free.is_forced, free.finish) == (True, True, False, "function_call")
    assert (list(named.names), named.is_forced, named.finish) == (["g"], True, "stop")


@pytest.mark.parametrize("choice", [allowed("auto", "x"), {"type": "allowed_tools"}])
def test_choice_of_what_is_not_offered_is_refused(choice: Any) -> None:
    with pytest.raises(RequestError) as caught:
        offered(choice)
    assert caught.value.param == "tool_choice"
