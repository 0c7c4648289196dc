import json
from typing import Any

import pytest

from models.errors import RequestError
from models.server.embeddings import MAX_INPUTS, EmbeddingBody
from models.server.request import decode


def body(given: Any, **fields: Any) -> EmbeddingBody:
    return decode(json.dumps({"model": "m", "input": given} | fields).encode(), EmbeddingBody)


@pytest.mark.parametrize(
    ("given", "texts"),
    [
        ("one", ["one"]),
        (["one", "two"], ["one", "two"]),
        ([1, 2], [[1, 2]]),
        ([[1, 2], [3]], [[1, 2], [3]]),
        ("", [""]),
    ],
)
def test_all_of_openais_ways_to_give_an_input_are_taken(given: Any, texts: list[Any]) -> None:
    assert list(body(given).texts) == texts


@pytest.mark.parametrize("given", [[], ["one", 1], [[1], "one"], ["x"] * (MAX_INPUTS + 1)])
def test_what_is_no_input_names_the_parameter(given: Any) -> None:
    with pytest.raises(RequestError) as caught:
        _ = body(given).texts
    assert caught.value.param == "input"


@pytest.mark.parametrize(
    ("fields", "param"),
    [({"encoding_format": "hex"}, "encoding_format"), ({"dimensions": 0}, "dimensions"), ({"input": [1.5]}, "input")],
)
def test_wrong_fields_are_named(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(RequestError) as caught:
        body("x", **fields)
    assert str(caught.value.param).startswith(param)
