"""What real chat templates make of the conversations that clients send.

The templates in `templates/` are shortened, but follow those of the models that they are called by where it matters:
what they refuse, what they leave out, and how they spell calls of tools.
"""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from models.errors import LoadFailed, RequestError
from models.server.messages import Tool, Turn, TurnCall
from models.server.template import ChatTemplate
from tests.unit.models.hostile import ENDLESS, NOT_COMPILED

FOLDER = Path(__file__).parent / "templates"
NAMES = sorted(path.stem for path in FOLDER.glob("*.jinja"))

TOOL: Tool = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "tells the weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def template(source: str | None = None) -> ChatTemplate:
    return ChatTemplate(source, "<s>", "</s>", lambda: datetime(2026, 11, 8, tzinfo=UTC))


# Compiled once: a template keeps nothing of what it renders.
REAL = {name: template((FOLDER / f"{name}.jinja").read_text()) for name in NAMES} | {"chatml": template()}


def say(role: str, content: str, name: str = "") -> Turn:
    turn: Turn = {"role": role, "content": content}
    if name:
        turn["name"] = name
    return turn


def call(call_id: str, city: str) -> TurnCall:
    return {"id": call_id, "type": "function", "function": {"name": "weather", "arguments": {"city": city}}}


def calling(content: str, *calls: TurnCall) -> Turn:
    return {"role": "assistant", "content": content, "tool_calls": list(calls)}


def result(call_id: str, content: str) -> Turn:
    return {"role": "tool", "content": content, "name": "weather", "tool_call_id": call_id}


ONE, TWO = "call_Vq3x9TzLw0aB7cD5eF1g", "toolu_01A"

CONVERSATIONS: dict[str, list[Turn]] = {
    "a question": [say("user", "w1")],
    "with a system message": [say("system", "w1"), say("user", "w2")],
    "a dialogue": [say("system", "w1"), say("user", "w2"), say("assistant", "w3"), say("user", "w4")],
    "several system messages": [say("system", "w1"), say("system", "w2"), say("user", "w3")],
    "a system message in between": [say("user", "w1"), say("assistant", "w2"), say("system", "w3"), say("user", "w4")],
    "a system message at the end": [say("user", "w1"), say("system", "w2")],
    "a system message alone": [say("system", "w1")],
    "one user twice": [say("user", "w1"), say("user", "w2")],
    "the assistant twice": [say("user", "w1"), say("assistant", "w2"), say("assistant", "w3"), say("user", "w4")],
    "the assistant first": [say("assistant", "w1"), say("user", "w2")],
    "the assistant first after the system": [say("system", "w1"), say("assistant", "w2"), say("user", "w3")],
    "the assistant last": [say("user", "w1"), say("assistant", "w2")],
    "an empty answer": [say("user", "w1"), say("assistant", ""), say("user", "w2")],
    "several speakers": [say("user", "w2", "w1"), say("assistant", "w3"), say("user", "w5", "w4")],
    "a call": [say("user", "w1"), calling("", call(ONE, "w2")), result(ONE, "w3")],
    "a call of the past": [
        say("system", "w1"),
        say("user", "w2"),
        calling("", call(ONE, "w3")),
        result(ONE, "w4"),
        say("assistant", "w5"),
        say("user", "w6"),
    ],
    "two calls in turn": [
        say("user", "w1"),
        calling("", call(ONE, "w2")),
        result(ONE, "w3"),
        calling("", call(TWO, "w4")),
        result(TWO, "w5"),
    ],
    "a result that is not text alone": [
        say("user", "w1"),
        calling("", call(ONE, "w2")),
        result(ONE, '{"w3": "w4"}'),
        say("user", "w5"),
    ],
}

PARALLEL = [
    say("user", "w1"),
    calling("", call(ONE, "w2"), call(TWO, "w3")),
    result(ONE, "w4"),
    result(TWO, "w5"),
    say("assistant", "w6"),
    say("user", "w7"),
]


def words(turns: list[Turn]) -> list[str]:
    """Once each, in the order in which they were said."""
    return sorted({word for turn in turns for word in re.findall(r"\bw[0-9]\b", str(turn))})


def told(text: str) -> list[str]:
    return re.findall(r"\bw[0-9]\b", text)


@pytest.mark.parametrize("tools", [None, [TOOL]], ids=["no tools", "tools"])
@pytest.mark.parametrize("conversation", CONVERSATIONS.values(), ids=CONVERSATIONS)
@pytest.mark.parametrize("name", REAL)
def test_all_is_told_once(name: str, conversation: list[Turn], tools: list[Tool] | None) -> None:
    assert sorted(told(REAL[name].render(conversation, tools=tools))) == words(conversation)


@pytest.mark.parametrize("conversation", CONVERSATIONS.values(), ids=CONVERSATIONS)
@pytest.mark.parametrize("name", REAL)
def test_what_is_said_is_told_in_order(name: str, conversation: list[Turn]) -> None:
    instructed = words([turn for turn in conversation if turn["role"] == "system"])
    said = [word for word in told(REAL[name].render(conversation)) if word not in instructed]
    assert said == sorted(said)


@pytest.mark.parametrize("name", REAL)
def test_parallel_calls_are_told_with_their_results(name: str) -> None:
    assert sorted(told(REAL[name].render(PARALLEL, tools=[TOOL]))) == words(PARALLEL)


@pytest.mark.parametrize("name", set(REAL) - {"mistral"})
def test_words_beside_a_call_are_kept(name: str) -> None:
    turns = [say("user", "w1"), calling("w2", call(ONE, "w3")), result(ONE, "w4"), say("assistant", "w5")]
    assert told(REAL[name].render(turns)) == words(turns)


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("llama3", "llama3"),
        ("qwen2", "hermes"),
        ("qwen3", "hermes"),
        ("mistral", "mistral"),
        ("gemma2", "generic"),
        ("phi3", "generic"),
        ("smollm2", "generic"),
        ("deepseek_r1", "generic"),
        ("vision", "generic"),
        ("chatml", "generic"),
    ],
)
def test_format_of_calls_is_seen_from_what_is_printed(name: str, form: str) -> None:
    assert (REAL[name].tool_format, REAL[name].knows_tools) == (form, form != "generic")


@pytest.mark.parametrize("name", REAL)
def test_tools_are_described_once(name: str) -> None:
    text = REAL[name].render([say("system", "be brief"), say("user", "hi")], tools=[TOOL])
    assert text.count("tells the weather") == 1
    assert "be brief" in text


def test_generic_calls_are_spelled_as_they_are_asked_for() -> None:
    text = REAL["gemma2"].render(CONVERSATIONS["a call"], tools=[TOOL])
    assert '<tool_call>\n{"name": <function name>, "arguments": <JSON object>}\n</tool_call>' in text
    assert '<tool_call>\n{"name": "weather", "arguments": {"city": "w2"}}\n</tool_call>' in text
    assert "<tool_response>\nw3\n</tool_response>" in text


def test_system_message_is_told_by_the_user_where_the_template_refuses_it() -> None:
    text = REAL["gemma2"].render([say("system", "be brief"), say("user", "hi"), say("assistant", "ho")])
    assert text == (
        "<s><start_of_turn>user\nbe brief\n\nhi<end_of_turn>\n<start_of_turn>model\nho<end_of_turn>\n"
        "<start_of_turn>model\n"
    )


def test_neighbours_are_joined_where_turns_must_alternate() -> None:
    text = REAL["gemma2"].render([say("user", "a"), say("user", "b")])
    assert text == "<s><start_of_turn>user\na\n\nb<end_of_turn>\n<start_of_turn>model\n"


def test_neighbours_stay_apart_where_the_template_takes_them() -> None:
    assert REAL["chatml"].render([say("user", "a"), say("user", "b")]).count("<|im_start|>user") == 2


def test_greeting_of_the_assistant_stays_its_own() -> None:
    text = REAL["gemma2"].render([say("assistant", "hello"), say("user", "hi")])
    assert "<start_of_turn>model\nhello<end_of_turn>" in text


def test_one_speaker_is_not_named() -> None:
    turns = [say("user", "a", "ann"), say("assistant", "b"), say("user", "c", "ann")]
    assert "ann" not in REAL["chatml"].render(turns)


def thinking(turn: Turn, thought: str) -> Turn:
    return {**turn, "reasoning_content": thought}


def test_thoughts_are_printed_between_calls_and_not_those_of_the_past() -> None:
    turns = [say("user", "a"), thinking(say("assistant", "b"), "t1"), say("user", "c")]
    turns += [thinking(calling("", call(ONE, "x"), call(TWO, "y")), "t2"), result(ONE, "z"), result(TWO, "z")]
    text = REAL["qwen3"].render(turns)
    assert "<think>\nt2\n</think>" in text
    assert "t1" not in text


@pytest.mark.parametrize("name", REAL)
def test_thoughts_of_the_past_harm_no_conversation(name: str) -> None:
    plain = CONVERSATIONS["two calls in turn"]
    turns = [thinking(turn, "t1") if turn["role"] == "assistant" else turn for turn in plain]
    assert words(turns) == [word for word in told(REAL[name].render(turns)) if word in words(turns)]


def test_thoughts_stay_with_the_first_of_the_calls_that_are_told_apart() -> None:
    source = (
        "{% for m in messages %}{% if m.tool_calls and (m.content or m.tool_calls | length > 1) %}"
        "{{ raise_exception('one') }}{% endif %}({{ m.reasoning_content }}){{ m.role }}:{{ m.content }}"
        '{% for c in m.tool_calls or [] %}<tool_call>{"name": "{{ c.function.name }}", "arguments": '
        "{{ c.function.arguments | tojson }}}</tool_call>{% endfor %};{% endfor %}{{ tools }}"
    )
    turns = [say("user", "a"), thinking(calling("b", call(ONE, "x"), call(TWO, "y")), "t1")]
    text = template(source).render([*turns, result(ONE, "z"), result(TWO, "z")])
    assert "(t1)assistant:b;()assistant:<tool_call>" in text
    assert (text.count("t1"), text.count("<tool_call>")) == (1, 2)


def test_thoughts_are_left_out_where_the_template_refuses_them() -> None:
    source = (
        "{% for m in messages %}{% if m.reasoning_content %}{{ raise_exception('no thoughts') }}{% endif %}"
        "{{ m.role }}:{{ m.content }};{% endfor %}"
    )
    assert template(source).render([say("user", "a"), thinking(say("assistant", "b"), "t")]) == "user:a;assistant:b;"


def test_names_are_left_to_a_template_that_prints_them() -> None:
    source = "{% for m in messages %}<{{ m.name or m.role }}>{{ m.content }}{% endfor %}"
    turns = [say("user", "a", "ann"), say("user", "b", "bob")]
    assert template(source).render(turns) == "<ann>a<bob>b"


def test_ids_of_other_models_become_those_that_mistral_takes() -> None:
    text = REAL["mistral"].render(PARALLEL, tools=[TOOL])
    ids = re.findall(r'"id": "([^"]*)"', text)
    assert re.findall(r'"call_id": "([^"]*)"', text) == ids
    assert all(re.fullmatch("[0-9a-zA-Z]{9}", call_id) for call_id in ids)


def test_ids_that_mistral_takes_stay() -> None:
    turns = [say("user", "a"), calling("", call("Abc123xyz", "x")), result("Abc123xyz", "y")]
    assert REAL["mistral"].render(turns).count("Abc123xyz") == 2


def test_parallel_calls_are_told_one_by_one_where_the_template_takes_one() -> None:
    text = REAL["llama3"].render(PARALLEL)
    assert told(text) == ["w1", "w2", "w4", "w3", "w5", "w6", "w7"]


def test_arguments_that_are_no_json_stay_text() -> None:
    turns = [say("user", "a"), calling("", call(ONE, "x")), result(ONE, "y")]
    turns[1]["tool_calls"][0]["function"]["arguments"] = '{"city": '
    for made in REAL.values():
        assert "city" in made.render(turns)


@pytest.mark.slow
def test_thousands_of_messages_are_rendered() -> None:
    turns = [say(role, "some words " * 10) for _ in range(1000) for role in ("user", "assistant")]
    for made in REAL.values():
        assert made.render(turns).count("some words " * 9) == 2000


def test_tools_do_not_change_who_speaks_first() -> None:
    text = REAL["llama3"].render([say("assistant", "hello"), say("user", "hi")], tools=[TOOL])
    assert "<|start_header_id|>assistant<|end_header_id|>\n\nhello" in text


def test_without_a_template_chatml_is_used() -> None:
    assert template().render([say("user", "hi")]) == "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"


def test_template_that_refuses_everything_is_quoted() -> None:
    with pytest.raises(RequestError, match="never on a Sunday") as caught:
        template("{{ raise_exception('never on a Sunday') }}").render([say("user", "hi")])
    assert (caught.value.status, caught.value.param) == (400, "messages")


def test_template_that_refuses_some_conversations_is_asked_in_another_way() -> None:
    source = (
        "{% for m in messages %}{% if m.role == 'system' and 'rude' in m.content %}"
        "{{ raise_exception('system') }}{% endif %}{{ m.role }}:{{ m.content }};{% endfor %}"
    )
    assert template(source).render([say("system", "be rude"), say("user", "hi")]) == "user:be rude\n\nhi;"


def test_message_text_is_never_template_source() -> None:
    assert template("{{ messages[0].content }}").render([say("user", "{{ 1 + 1 }}")]) == "{{ 1 + 1 }}"


def test_template_knows_the_date_and_the_spelling_of_its_tokens() -> None:
    assert template("{{ strftime_now('%Y') }}{{ bos_token }}{{ eos_token }}").render([]) == "2026<s></s>"


@pytest.mark.parametrize("name", NOT_COMPILED)
def test_broken_template_is_a_load_error(name: str) -> None:
    with pytest.raises(LoadFailed, match="does not compile"):
        template(NOT_COMPILED[name])


@pytest.mark.parametrize("name", ["loops in loops", "a macro that calls itself twice", "lists in lists, printed"])
def test_template_that_does_not_end_is_a_load_error(name: str) -> None:
    with pytest.raises(LoadFailed, match="does not come to an end"):
        template(ENDLESS[name])


def test_template_that_ends_for_small_conversations_only_refuses_the_others() -> None:
    printed = "{% for m in messages %}{{ m.role }}:{{ m.content }};{% endfor %}"
    made = template("{% if messages | length > 30 %}" + ENDLESS["tilde"] + "{% endif %}" + printed)
    assert made.render([say("user", "hi")]) == "user:hi;"
    with pytest.raises(RequestError, match="does not come to an end"):
        made.render([say("user", "hi")] * 31)


def test_rendering_is_the_same_each_time() -> None:
    turns: list[Any] = [*CONVERSATIONS["a call of the past"]]
    assert len({REAL["mistral"].render(turns, tools=[TOOL]) for _ in range(3)}) == 1
