"""GET /v1/models: what can be served now, by whoever it is."""

import json
from typing import Any

import aiohttp
import pytest

from tests.fakes.answers import MODELS, models
from tests.fakes.behaviour import Behaviour
from tests.fakes.upstream import FaultUpstream
from tests.integration.raw import connected, request
from tests.running import alone, running_proxy

LOCAL = 'local: {url: "http://127.0.0.1:9/v1", served_model: stand-in}'


def cloud(upstream: FaultUpstream, name: str = "cloud", extra: str = "api_key: k") -> str:
    return f'{{name: {name}, base_url: "{upstream.base_url}", {extra}}}'


async def listed(session: aiohttp.ClientSession, base_url: str) -> list[dict[str, Any]]:
    async with session.get(f"{base_url}/models") as answer:
        assert answer.status == 200
        body = await answer.json()
    assert body["object"] == "list"
    entries: list[dict[str, Any]] = body["data"]
    return entries


async def names(session: aiohttp.ClientSession, base_url: str) -> list[str]:
    return [entry["id"] for entry in await listed(session, base_url)]


async def test_list_holds_the_clouds_models_and_the_local_one(
    upstream: FaultUpstream, session: aiohttp.ClientSession
) -> None:
    async with running_proxy(f"upstreams: [{cloud(upstream)}]\n{LOCAL}") as (_, base_url):
        entries = await listed(session, base_url)
    assert [entry["id"] for entry in entries] == [*MODELS, "stand-in"]
    assert entries[:-1] == models()["data"]
    assert {name: type(value) for name, value in entries[-1].items()} == {
        "id": str,
        "object": str,
        "created": int,
        "owned_by": str,
    }


async def test_model_that_two_clouds_serve_is_listed_once(
    upstream: FaultUpstream, session: aiohttp.ClientSession
) -> None:
    async with FaultUpstream() as second:
        config = f"upstreams: [{cloud(upstream)}, {cloud(second, 'second')}]\n{LOCAL}"
        async with running_proxy(config) as (_, base_url):
            assert await names(session, base_url) == [*MODELS, "stand-in"]
        assert len(second.requests) == 1


async def test_public_names_of_model_maps_are_listed(upstream: FaultUpstream, session: aiohttp.ClientSession) -> None:
    entry = cloud(upstream, extra="api_key: k, models: {large: gpt-4o, gpt-4o-mini: other}")
    async with running_proxy(f"upstreams: [{entry}]\nlocal: false") as (_, base_url):
        assert await names(session, base_url) == [*MODELS, "large"]


@pytest.mark.parametrize(
    "behaviour",
    [Behaviour.ERROR_503, Behaviour.RESET, Behaviour.HTML_200, Behaviour.BROKEN_JSON_200, Behaviour.UNAUTHORIZED_401],
)
async def test_cloud_that_gives_no_list_is_left_out(
    behaviour: Behaviour, upstream: FaultUpstream, session: aiohttp.ClientSession
) -> None:
    upstream.behaviour = behaviour
    entry = cloud(upstream, extra="api_key: k, models: {large: gpt-4o}")
    async with running_proxy(f"upstreams: [{entry}]\n{LOCAL}") as (_, base_url):
        assert await names(session, base_url) == ["stand-in"]


async def test_cloud_that_is_down_is_left_out(upstream: FaultUpstream, session: aiohttp.ClientSession) -> None:
    await upstream.stop()
    async with running_proxy(f"upstreams: [{cloud(upstream)}]\n{LOCAL}") as (_, base_url):
        assert await names(session, base_url) == ["stand-in"]


async def test_nobody_to_ask_is_an_empty_list(upstream: FaultUpstream, session: aiohttp.ClientSession) -> None:
    await upstream.stop()
    async with running_proxy(alone(upstream)) as (_, base_url):
        assert await names(session, base_url) == []


async def test_clients_key_lists_where_the_upstream_has_none(
    upstream: FaultUpstream, session: aiohttp.ClientSession
) -> None:
    async with (
        running_proxy(alone(upstream, "client_key: forward")) as (_, base_url),
        session.get(f"{base_url}/models", headers={"Authorization": "Bearer sk-client"}) as answer,
    ):
        assert answer.status == 200
    assert upstream.requests[0].header("authorization") == "Bearer sk-client"


@pytest.mark.parametrize("model", ["gpt-4o", "stand-in", "large/one:latest"])
async def test_one_model_is_shown(model: str, upstream: FaultUpstream, session: aiohttp.ClientSession) -> None:
    entry = cloud(upstream, extra="api_key: k, models: {'large/one:latest': gpt-4o}")
    async with (
        running_proxy(f"upstreams: [{entry}]\n{LOCAL}") as (_, base_url),
        session.get(f"{base_url}/models/{model}") as answer,
    ):
        body = await answer.json()
    assert (answer.status, body["id"], body["object"]) == (200, model, "model")


async def test_model_that_nobody_serves_is_not_found(upstream: FaultUpstream) -> None:
    config = f"upstreams: [{cloud(upstream)}]\n{LOCAL}"
    async with running_proxy(config) as (_, base_url), connected(base_url) as connection:
        answer = await connection.ask(request("GET", "/v1/models/gpt-5"))
    assert (answer.status, answer.error["code"], answer.error["param"]) == (404, "model_not_found", "model")


async def test_head_has_the_lists_head(upstream: FaultUpstream) -> None:
    async with running_proxy(alone(upstream)) as (_, base_url), connected(base_url) as connection:
        await connection.send(request("HEAD", "/v1/models"))
        head = await connection.answer(to_head=True)
        answer = await connection.ask(request("GET", "/v1/models"))
    assert (head.status, head.header("content-length")) == (200, answer.header("content-length"))
    assert [entry["id"] for entry in json.loads(answer.body)["data"]] == list(MODELS)
