"""Templates of strangers: what they may do, and how much of it."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jinja2
import pytest
from jinja2 import nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from models.server.sandbox.calendar import Calendar
from models.server.sandbox.template import BoundedTemplate, TemplateEndless, TemplateFault
from tests.unit.models.hostile import ENDLESS, NOT_COMPILED

TEMPLATES = sorted((Path(__file__).parent / "templates").glob("*.jinja"))

UNITS = 400_000


def refuse(message: str) -> None:
    raise jinja2.TemplateError(message)


FUNCTIONS = {"raise_exception": refuse, "strftime_now": Calendar(lambda: datetime(2026, 11, 8, tzinfo=UTC))}


def render(source: str, units: int = UNITS, **values: Any) -> str:
    return BoundedTemplate(source, FUNCTIONS).render(values, units)


@pytest.mark.parametrize("source", ENDLESS.values(), ids=ENDLESS)
def test_hostile_template_ends_before_its_budget_does(source: str) -> None:
    with pytest.raises(TemplateFault):
        render(source)


@pytest.mark.parametrize("source", NOT_COMPILED.values(), ids=NOT_COMPILED)
def test_what_cannot_be_read_is_a_fault(source: str) -> None:
    with pytest.raises(TemplateFault):
        BoundedTemplate(source, FUNCTIONS)


@pytest.mark.parametrize("name", ["loops in loops", "tilde", "lists in lists, printed", "a text looked for in a loop"])
def test_twice_the_budget_does_not_help_who_does_not_end(name: str) -> None:
    for units in (UNITS // 2, UNITS):
        with pytest.raises(TemplateEndless):
            render(ENDLESS[name], units)


@pytest.mark.parametrize(
    "attack",
    [
        "{{ ''.__class__.__mro__[1] }}",
        "{{ messages.append(1) }}",
        "{{ messages.clear() }}",
        "{{ raise_exception.__globals__['jinja2'] }}",
        "{{ namespace.__init__.__globals__ }}",
        "{{ '{0.__class__.__name__}'.format('') }}",
        "{{ (messages | map(attribute='__class__') | list)[0].__name__ }}",
        "{{ self.__init__.__globals__ }}",
    ],
)
def test_template_cannot_reach_into_python(attack: str) -> None:
    with pytest.raises(TemplateFault, match=r"unsafe|not safely callable|undefined"):
        render(attack, messages=[""])


@pytest.mark.parametrize(
    ("source", "printed"),
    [
        ("{{ {'a': '<é>'} | tojson }}", '{"a": "<é>"}'),
        ("{{ {'a': [1]} | tojson(indent=2) }}", '{\n  "a": [\n    1\n  ]\n}'),
        ("{{ 'a\nb\n\nc' | indent }}|{{ 'a\nb' | indent(2, true) }}", "a\n    b\n\n    c|  a\n  b"),
        ("{{ 'a' ~ 1 ~ none }}", "a1None"),
        ("{{ [1, 'b'] | join(', ') }}|{{ [{'a': 1}, {'a': 2}] | join('-', attribute='a') }}", "1, b|1-2"),
        ("{{ 'banana'.replace('a', 'o', 2) }}|{{ 'banana' | replace('a', 'o') }}", "bonona|bonono"),
        ("{% for x in [3, 1, 2] if x > 1 %}{{ loop.index }}{{ x }}{{ loop.last }} {% endfor %}", "13False 22True "),
        ("{% for x in [1, 2, 3] %}{% if x == 2 %}{% continue %}{% endif %}{{ x }}{% endfor %}", "13"),
        ("{% for x in [1, 2, 3] %}{% if x == 2 %}{% break %}{% endif %}{{ x }}{% endfor %}", "1"),
        ("{% macro f(x, y=2) %}{{ x }}{{ y }}{% endmacro %}{{ f(1) }}{{ f(3, y=4) }}", "1234"),
        ("{{ 'b' in 'abc' }}{{ 4 not in [1, 2] }}{{ 'a' in {'a': 1} }}{{ 1 in (none or []) }}", "TrueTrueTrueFalse"),
        ("{% generation %}a{{ 1 }}{% endgeneration %}b", "a1b"),
        (
            "{{ ['a', 'b'] | map('upper') | list }}{{ [3, 1] | sort }}{{ 'abc'[::-1] }}{{ 7 % 3 }}",
            "['A', 'B'][1, 3]cba1",
        ),
        ("{{ '%s-%02d' % ('a', 3) }} {{ '{} {b}'.format(1, b=2) }}", "a-03 1 2"),
        ("{% set n = namespace(a=1) %}{% set n.a = n.a + 1 %}{{ n.a }}{{ {'b': 2}.get('b') }}", "22"),
        (
            "{% for k, v in {'a': 1}.items() %}{{ k }}{{ v }}{% endfor %}{{ {'b': 1, 'a': 2} | dictsort }}",
            "a1[('a', 2), ('b', 1)]",
        ),
        ("{{ strftime_now('%d %b %Y') }}{{ 'ab'.split('b')[0] }}{{ ' a '.strip() }}", "08 Nov 2026aa"),
        ("{% set x %}a{{ 1 }}{% endset %}{{ x | trim | length }}{% filter upper %}b{% endfilter %}", "2B"),
    ],
)
def test_what_chat_templates_use_is_there(source: str, printed: str) -> None:
    assert render(source) == printed


class Generation(Extension):
    tags = {"generation"}  # noqa: RUF012

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def plain(source: str) -> jinja2.Template:
    """As transformers render it."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols", Generation]
    )
    environment.filters["tojson"] = lambda value, indent=None: json.dumps(value, ensure_ascii=False, indent=indent)
    environment.globals.update(FUNCTIONS)
    return environment.from_string(source)


TOOL = {"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}}
CALL = {"id": "abcdefghi", "type": "function", "function": {"name": "f", "arguments": {"a": [1, "é"]}}}
CONVERSATION = [
    {"role": "user", "content": "one"},
    {"role": "assistant", "content": "two"},
    {"role": "user", "content": "three"},
    {"role": "assistant", "content": "", "tool_calls": [CALL]},
    {"role": "tool", "content": "four", "tool_call_id": "abcdefghi"},
    {"role": "assistant", "content": "<think>\nfive\n</think>\n\nsix"},
    {"role": "user", "content": "seven"},
]


@pytest.mark.parametrize("tools", [None, [TOOL]], ids=["no tools", "tools"])
@pytest.mark.parametrize("end", [1, 3, 7])
@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_real_template_prints_what_it_prints_without_a_budget(path: Path, end: int, tools: list[Any] | None) -> None:
    values = {"messages": CONVERSATION[:end], "tools": tools, "add_generation_prompt": True, "bos_token": "<s>"}
    source = path.read_text()
    try:
        expected = plain(source).render(values)
    except jinja2.TemplateError:
        with pytest.raises(TemplateFault):
            render(source, **values)
    else:
        assert render(source, **values) == expected


def test_renderings_do_not_share_a_budget() -> None:
    template = BoundedTemplate("{% for i in range(100) %}{{ i }}{% endfor %}", {})
    assert len({template.render({}, 5000) for _ in range(3)}) == 1
