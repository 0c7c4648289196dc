"""Templates that would take all time or all memory, each in its own way."""

from typing import Final

DOUBLING = "{% set n = namespace(x='abcdefgh') %}{% for i in range(60) %}{% set n.x = DOUBLED %}{% endfor %}{{ n.x }}"
NESTING = "{% set n = namespace(x=['a']) %}{% for i in range(60) %}{% set n.x = NESTED %}{% endfor %}USED"
LONG = "{% set long = 'a' * 1000000 %}"
MANY = "{% for i in range(99999) %}{% for j in range(99999) %}WORK{% endfor %}{% endfor %}"


def doubling(expression: str) -> str:
    return DOUBLING.replace("DOUBLED", expression)


def nesting(expression: str, used: str) -> str:
    return NESTING.replace("NESTED", expression).replace("USED", used)


def many(work: str) -> str:
    return MANY.replace("WORK", work)


ENDLESS: Final = {
    "loops in loops": many(""),
    "loops that print": many("a" * 1000),
    "loops that leave everything out": (
        "{% for i in range(99999) %}{% for j in range(99999) if j < 0 %}{% endfor %}{% endfor %}"
    ),
    "loops over a long text": LONG + "{% for i in long %}{% for j in long %}{% endfor %}{% endfor %}",
    "a loop over itself": "{% for i in [1, 2] recursive %}{{ loop([1, 2]) }}{% endfor %}",
    "a macro that calls itself twice": (
        "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}"
    ),
    "a macro that is called in a block": (
        "{% macro f(n) %}{% if n %}{% call f(n - 1) %}{{ n }}{% endcall %}{% call f(n - 1) %}{% endcall %}"
        "{% endif %}{{ caller() }}{% endmacro %}{% call f(60) %}a{% endcall %}"
    ),
    "a macro with much text": (
        "{% macro f() %}" + "a" * 50_000 + "{% endmacro %}{% for i in range(99999) %}{% set x = f() %}{% endfor %}"
    ),
    "a text many times": "{{ 'a' * 10**12 }}",
    "a list many times": "{{ [0] * 10**12 }}",
    "a list from the left": "{{ 10**12 * [0] }}",
    "a number of many digits": "{{ 10 ** (10 ** 10) }}",
    "a number that grows": "{% set n = namespace(x=3) %}{% for i in range(99) %}{% set n.x = n.x * n.x %}{% endfor %}",
    "plus": doubling("n.x + n.x"),
    "tilde": doubling("n.x ~ n.x"),
    "join": doubling("[n.x, n.x] | join"),
    "join by something long": LONG + "{{ range(99999) | join(long) }}",
    "the method join": LONG + "{{ long.join(long) }}",
    "join of what is made in passing": LONG + "{{ (['1'] * 9999) | map('replace', '1', long) | join }}",
    "replace": doubling("n.x | replace('a', n.x)"),
    "the method replace": doubling("n.x.replace('a', n.x)"),
    "replace between all letters": LONG + "{{ long.replace('', long) }}",
    "a block that is kept": (
        "{% set n = namespace(x='aaaa') %}{% for i in range(60) %}{% set y %}{{ n.x }}{{ n.x }}{% endset %}"
        "{% set n.x = y %}{% endfor %}"
    ),
    "a filtered block": "{% for i in range(99999) %}{% filter upper %}" + "a" * 9999 + "{% endfilter %}{% endfor %}",
    "percent": doubling("'%s%s' % (n.x, n.x)"),
    "percent with a width": "{{ '%1000000000d' % 1 }}",
    "percent with a width behind a key": "{{ '%(a)1000000000d' % {'a': 1} }}",
    "percent with a width from outside": "{{ '%*d' % (1000000000, 1) }}",
    "format": doubling("'{0}{0}'.format(n.x)"),
    "format with a width": "{{ '{:1000000000}'.format(1) }}",
    "format with a width in other digits": "{{ ('{:\\u0661' ~ '\\u0660' * 9 ~ '}').format(1) }}",
    "format with many digits": "{{ '{:.1000000000f}'.format(1) }}",
    "format with a width from outside": "{{ '{:{}}'.format(1, 1000000000) }}",
    "format of one thing many times": LONG + "{{ ('{0}' * 99999).format(long) }}",
    "escapes": "{% set n = namespace(x='&' * 9999) %}{% for i in range(99999) %}{% set n.x = n.x | e %}{% endfor %}",
    "indented": LONG + "{{ long | replace('a', '\n') | indent(long) }}",
    "indented far": "{{ 'a\na' | indent(10**9) }}",
    "json that is indented far": "{{ [1] | tojson(indent=10**9) }}",
    "json of deep lists": nesting("[n.x] + [0, 0, 0, 0] * 999", "{{ n.x | tojson(indent=9) }}"),
    "a date with a width": "{{ strftime_now('%1000000000d') }}",
    "a long date": LONG + "{{ strftime_now(long) }}",
    "centered": "{{ 'a' | center(10**9) }}",
    "a method that pads": "{{ 'a'.ljust(10**9) }}",
    "tabs": "{{ '\t'.expandtabs(10**9) }}",
    "bytes of a number": "{{ (1).to_bytes(10**9, 'big') }}",
    "batches": "{{ [1] | batch(10**9, 0) | list }}",
    "digits": "{{ 1.5 | round(10**9, 'ceil') }}",
    "lorem ipsum": "{{ lipsum(10**9) }}",
    "lists in lists, printed": nesting("[n.x, n.x]", "{{ n.x }}"),
    "lists in lists, as text": nesting("[n.x, n.x]", "{{ (n.x | string) | length }}"),
    "lists in lists, as json": nesting("[n.x, n.x]", "{{ n.x | tojson }}"),
    "lists in lists, compared": nesting("[n.x, n.x]", "{{ n.x == n.x + [] }}"),
    "lists in lists, tested": nesting("[n.x, n.x]", "{{ n.x is eq(n.x + []) }}"),
    "lists in lists, looked for": nesting("[n.x, n.x]", "{{ n.x in [n.x + []] * 9 }}"),
    "lists in lists, sorted": nesting("[n.x, n.x]", "{{ [n.x, n.x + []] | sort | length }}"),
    "lists in lists, changed": nesting("[n.x, n.x]", "{% for i in [1] %}{{ loop.changed(n.x) }}{% endfor %}"),
    "tuples in tuples, hashed": nesting("(n.x, n.x)", "{{ {}[n.x] }}"),
    "tuples in tuples, got": nesting("(n.x, n.x)", "{{ {}.get(n.x) }}"),
    "dicts in dicts": nesting("{1: n.x, 2: n.x}", "{{ n.x }}"),
    "a text looked for in a loop": LONG + many("{{ 'b' in long }}"),
    "a slice in a loop": LONG + many("{{ long[1:] | length }}"),
    "a comparison in a loop": LONG + "{% set other = long[1:] ~ 'b' %}" + many("{{ long == other }}"),
    "a text split in a loop": LONG + many("{{ long.split('a') | length }}"),
    "a text turned in a loop": LONG + many("{{ long | reverse | length }}"),
    "a list made in a loop": LONG + many("{{ long | list | length }}"),
    "items chosen in a loop": "{% set all = range(99999) %}" + many("{{ all | select('none') | list }}"),
    "items mapped in a loop": "{% set all = range(99999) %}" + many("{{ all | map('string') | list | length }}"),
    "something in what is chosen": "{% set all = range(99999) %}" + many("{{ 5 in (all | select('none')) }}"),
    "stars": many("{{ dict(*[[]]) }}"),
    "recursion without an end": "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "blocks": "{% block a %}{{ self.b() }}{{ self.b() }}{% endblock %}{% block b %}{{ self.a() }}{% endblock %}",
}
"""By what they do."""

NOT_COMPILED: Final = {
    "a long source": "a" * 200_000,
    "many brackets": "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    "many signs": "{{ " + "-" * 5000 + "1 }}",
    "a long sum": "{{ 1" + " + 1" * 2000 + " }}",
    "many digits": "{{ " + "9" * 5000 + " }}",
    "many conditions": "{% if a %}" * 500 + "{% endif %}" * 500,
    "another template": "{% include 'x' %}",
    "an open tag": "{% if %}",
}
"""What cannot be read."""
