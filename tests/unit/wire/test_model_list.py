"""The list of models, merged."""

import json

import pytest

from proxy.wire import models


def test_each_model_stands_once_and_the_first_upstream_describes_it() -> None:
    first = [models.entry("gpt-5", "openai", 1), models.entry("gpt-4", "openai", 1)]
    second = [models.entry("llama", "acme", 2), models.entry("gpt-5", "acme", 2)]
    merged = models.merged([first, second])
    assert [(entry["id"], entry["owned_by"]) for entry in merged] == [
        ("gpt-5", "openai"),
        ("gpt-4", "openai"),
        ("llama", "acme"),
    ]


def test_fields_of_an_upstreams_entry_are_kept() -> None:
    listed = models.entries(b'{"object":"list","data":[{"id":"m","context_window":8192}]}')
    assert models.merged([listed]) == [{"id": "m", "context_window": 8192}]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b'{"models":[]}',
        b'{"data":{}}',
        b'{"data":["m"]}',
        b'{"data":[{"id":"\xff"}]}',
        b'{"data":' + b"[" * 100_000,
    ],
)
def test_what_is_no_list_has_no_entries(body: bytes) -> None:
    assert models.entries(body) == []


def test_entries_without_a_name_are_left_out() -> None:
    assert models.entries(b'{"data":[{"id":5},{"object":"model"},{"id":"m"}]}') == [{"id": "m"}]


def test_list_is_encoded_as_openai_does() -> None:
    entry = models.entry("smollm2", "hotspare", 7)
    assert json.loads(models.encode_list([entry])) == {"object": "list", "data": [entry]}
    assert json.loads(models.encode_entry(entry)) == {
        "id": "smollm2",
        "object": "model",
        "created": 7,
        "owned_by": "hotspare",
    }
