"""The list of models (GET /v1/models), merged from several upstreams."""

from collections.abc import Iterable
from typing import Any

import msgspec


class _List(msgspec.Struct):
    data: list[dict[str, Any]]


_decode_list = msgspec.json.Decoder(_List).decode


def entries(body: bytes) -> list[dict[str, Any]]:
    """The model objects of an upstream's list; empty if it is not one."""
    try:
        return [entry for entry in _decode_list(body).data if isinstance(entry.get("id"), str)]
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return []


def entry(model: str, owner: str, created: int) -> dict[str, Any]:
    """One model object."""
    return {"id": model, "object": "model", "created": created, "owned_by": owner}


def merged(lists: Iterable[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """One list in the upstreams' order; a model that several serve stands there once."""
    by_id: dict[str, dict[str, Any]] = {}
    for models in lists:
        for model in models:
            by_id.setdefault(model["id"], model)
    return list(by_id.values())


def encode_list(models: list[dict[str, Any]]) -> bytes:
    """The body of the list."""
    return msgspec.json.encode({"object": "list", "data": models})


def encode_entry(model: dict[str, Any]) -> bytes:
    """The body of one entry."""
    return msgspec.json.encode(model)
