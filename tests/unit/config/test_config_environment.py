"""References to the environment."""

import pytest

from proxy.config.environment import expand
from proxy.config.scalar import Unreadable

ENVIRONMENT = {"HOST": "example.com", "EMPTY": "", "TRICK": "${HOST}"}


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("https://${HOST}/v1", "https://example.com/v1"),
        ("${NOT_SET:-https://a/b:1}", "https://a/b:1"),
        ("${NOT_SET:-}", ""),
        ("${EMPTY:-default}", "default"),
        ("${EMPTY}", ""),
        ("${HOST:-default}", "example.com"),
        ("$${HOST}", "${HOST}"),
        ("$$", "$"),
        ("pa$word$", "pa$word$"),
        ("${HOST}${HOST}", "example.comexample.com"),
    ],
)
def test_reference_is_replaced_as_in_a_shell(raw: str, text: str) -> None:
    assert expand(raw, ENVIRONMENT) == text


def test_value_is_not_expanded_again() -> None:
    assert expand("${TRICK}", ENVIRONMENT) == "${HOST}"


def test_unset_variable_is_named() -> None:
    with pytest.raises(Unreadable, match="OPENAI_API_KEY"):
        expand("${OPENAI_API_KEY}", ENVIRONMENT)


@pytest.mark.parametrize("raw", ["${", "${HOST", "${1A}", "${HOST-x}", "${ HOST }", "${}"])
def test_broken_reference_is_refused(raw: str) -> None:
    with pytest.raises(Unreadable, match="no reference"):
        expand(raw, ENVIRONMENT)
