"""Keys go where they are meant to go and nowhere else; everything else of a request survives."""

import asyncio
import hashlib
import io

import aiohttp
import pytest

from proxy.telemetry import log
from tests.fakes.behaviour import Behaviour
from tests.fakes.http import Request
from tests.fakes.upstream import FaultUpstream
from tests.integration.raw import Connection, connected, listening, request
from tests.running import QUESTION, TIMEOUTS, alone, running_proxy

CLIENT_KEY = "sk-of-the-client"
CREDENTIALS = {
    "Authorization": f"Bearer {CLIENT_KEY}",
    "api-key": f"{CLIENT_KEY}-azure",
    "x-api-key": f"{CLIENT_KEY}-anthropic",
    "OpenAI-Organization": f"{CLIENT_KEY}-organization",
    "OpenAI-Project": f"{CLIENT_KEY}-project",
    "Cookie": f"session={CLIENT_KEY}",
}
ENDPOINTS = ["/chat/completions", "/files"]
PROMPT = "a very private question"
PRIVATE = {**QUESTION, "messages": [{"role": "user", "content": PROMPT}]}


def values(seen: Request, name: str) -> list[str]:
    return [value for key, value in seen.headers if key.lower() == name.lower()]


def head(seen: Request) -> str:
    return repr((seen.target, seen.headers))


def before_local(first: FaultUpstream, local: FaultUpstream, extra: str = "") -> str:
    return f"""
upstreams: [{{name: cloud, base_url: "{first.base_url}", {TIMEOUTS}, {extra}}}]
local: {{url: "{local.base_url}", served_model: stand-in}}
"""


async def ask(session: aiohttp.ClientSession, url: str, **headers: str) -> tuple[int, bytes]:
    async with session.post(url, json=QUESTION, headers={**CREDENTIALS, **headers}) as answer:
        return answer.status, await answer.read()


@pytest.mark.parametrize("path", ENDPOINTS)
async def test_clients_credentials_pass_where_the_upstream_has_no_key(
    path: str, upstream: FaultUpstream, session: aiohttp.ClientSession
) -> None:
    async with running_proxy(alone(upstream, "client_key: forward")) as (_, base_url):
        await ask(session, base_url + path)
    seen = upstream.requests[0]
    assert {name: values(seen, name) for name in CREDENTIALS} == {name: [value] for name, value in CREDENTIALS.items()}


@pytest.mark.parametrize("path", ENDPOINTS)
async def test_upstreams_key_takes_the_place_of_all_the_clients_credentials(
    path: str, upstream: FaultUpstream, session: aiohttp.ClientSession
) -> None:
    async with running_proxy(alone(upstream)) as (_, base_url):
        await ask(session, base_url + path)
    assert values(upstream.requests[0], "authorization") == ["Bearer sk-upstream"]
    assert CLIENT_KEY not in head(upstream.requests[0])


@pytest.mark.parametrize("path", ENDPOINTS)
async def test_dropped_client_key_is_nowhere(
    path: str, upstream: FaultUpstream, session: aiohttp.ClientSession
) -> None:
    async with running_proxy(alone(upstream, "client_key: drop")) as (_, base_url):
        await ask(session, base_url + path)
    assert values(upstream.requests[0], "authorization") == []
    assert CLIENT_KEY not in head(upstream.requests[0])


async def test_configured_headers_win_over_the_clients(upstream: FaultUpstream, session: aiohttp.ClientSession) -> None:
    config = alone(upstream, "headers: {OpenAI-Organization: org-ours, x-extra: ours}")
    async with running_proxy(config) as (_, base_url):
        await ask(session, f"{base_url}/chat/completions", **{"X-Extra": "theirs"})
    assert values(upstream.requests[0], "openai-organization") == ["org-ours"]
    assert values(upstream.requests[0], "x-extra") == ["ours"]


@pytest.mark.parametrize("stream", [False, True], ids=["unstreamed", "streamed"])
async def test_each_upstream_sees_its_own_key_only(
    stream: bool, upstream: FaultUpstream, session: aiohttp.ClientSession
) -> None:
    upstream.behaviour = Behaviour.ERROR_503
    async with FaultUpstream(behaviour=Behaviour.ERROR_503) as second, FaultUpstream() as local:
        config = f"""
upstreams:
  - {{name: first, base_url: "{upstream.base_url}", api_key: sk-first, headers: {{x-tenant: first-tenant}}}}
  - {{name: second, base_url: "{second.base_url}", api_key: sk-second}}
local: {{url: "{local.base_url}", served_model: stand-in}}
"""
        async with running_proxy(config) as (_, base_url):
            question = {**QUESTION, "stream": stream}
            async with session.post(f"{base_url}/chat/completions", json=question, headers=CREDENTIALS) as answer:
                await answer.read()
        assert answer.headers["x-hotspare-upstream"] == "local"
        assert values(upstream.requests[0], "authorization") == ["Bearer sk-first"]
        assert values(second.requests[0], "authorization") == ["Bearer sk-second"]
        assert values(second.requests[0], "x-tenant") == []
        assert not any(word in head(local.requests[0]) for word in ("sk-", "tenant"))


async def test_clients_key_meant_for_the_cloud_stays_away_from_the_local_model(
    upstream: FaultUpstream, session: aiohttp.ClientSession
) -> None:
    upstream.behaviour = Behaviour.ERROR_503
    async with FaultUpstream() as local:
        async with running_proxy(before_local(upstream, local, "client_key: forward")) as (_, base_url):
            await ask(session, f"{base_url}/chat/completions")
        assert CLIENT_KEY in head(upstream.requests[0])
        assert CLIENT_KEY not in head(local.requests[0])


@pytest.mark.parametrize("path", ["/chat/completions", "/files", "/models"])
@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer", "Bearer ", "Bearer wrong", "Basic sk-of-the-client", "sk-of-the-client"]
)
async def test_client_without_the_right_key_is_refused(
    path: str, authorization: str | None, upstream: FaultUpstream
) -> None:
    async with (
        running_proxy(alone(upstream) + clients()) as (_, base_url),
        connected(base_url) as connection,
    ):
        given = {} if authorization is None else {"authorization": authorization}
        answer = await connection.ask(request("GET" if path == "/models" else "POST", f"/v1{path}", b"{}", **given))
    assert (answer.status, answer.error["code"]) == (401, "invalid_api_key")
    assert answer.error["type"] == "invalid_request_error"
    assert upstream.requests == []


def clients() -> str:
    digest = hashlib.sha256(CLIENT_KEY.encode()).hexdigest()
    other = hashlib.sha256(b"sk-of-another").hexdigest()
    return f"clients: [{{name: other, key_sha256: {other}}}, {{name: app, key_sha256: {digest}}}]\n"


@pytest.mark.parametrize("path", ENDPOINTS)
async def test_right_key_serves_and_stays_here(
    path: str, upstream: FaultUpstream, session: aiohttp.ClientSession
) -> None:
    async with running_proxy(alone(upstream) + clients()) as (_, base_url):
        status, _ = await ask(session, base_url + path)
    assert status == 200
    assert CLIENT_KEY not in head(upstream.requests[0])


async def test_clients_name_and_the_deadline_go_to_the_model_server(
    upstream: FaultUpstream, session: aiohttp.ClientSession
) -> None:
    await upstream.stop()
    async with FaultUpstream() as local:
        config = before_local(upstream, local, "api_key: sk-upstream") + clients() + "limits: {deadline: 7s}\n"
        async with running_proxy(config) as (_, base_url):
            forged = {"x-hotspare-client": "other", "x-hotspare-deadline-seconds": "9999"}
            await ask(session, f"{base_url}/chat/completions", **forged)
        assert values(local.requests[0], "x-hotspare-client") == ["app"]
        assert [0 < float(each) <= 7 for each in values(local.requests[0], "x-hotspare-deadline-seconds")] == [True]


@pytest.mark.parametrize("path", ENDPOINTS)
async def test_fields_of_the_clients_connection_go_no_further(path: str, upstream: FaultUpstream) -> None:
    hop_by_hop = {
        "connection": "keep-alive, X-Nominated",
        "x_nominated": "1",
        "keep_alive": "timeout=5",
        "te": "trailers",
        "trailer": "x-check",
        "proxy_authorization": "Basic c2VjcmV0",
        "proxy_connection": "keep-alive",
        "x_kept": "1",
    }
    async with running_proxy(alone(upstream)) as (_, base_url), connected(base_url) as connection:
        answer = await connection.ask(request("POST", f"/v1{path}", b'{"model":"m"}', **hop_by_hop))
    assert answer.status == 200
    dropped = ("x-nominated", "keep-alive", "te", "trailer", "proxy-authorization", "proxy-connection")
    seen = upstream.requests[0]
    assert {name: values(seen, name) for name in dropped} == {name: [] for name in dropped}
    assert values(seen, "x-kept") == ["1"]
    assert len(values(seen, "host")) == 1


@pytest.mark.parametrize("path", ENDPOINTS)
async def test_fields_of_the_upstreams_connection_go_no_further(path: str) -> None:
    body = b'{"id":"1","choices":[{"message":{"content":"x"},"finish_reason":"stop"}]}'

    async def serve(cloud: Connection) -> None:
        await cloud.reader.readuntil(b"\r\n\r\n")
        await cloud.reader.readexactly(13)
        await cloud.send(
            b"HTTP/1.1 200 OK\r\nConnection: X-Nominated, close\r\nX-Nominated: 1\r\nKeep-Alive: timeout=5\r\n"
            b"Proxy-Authenticate: Basic\r\nTrailer: x\r\nUpgrade: h2c\r\nX-Kept: 1\r\nSet-Cookie: a=1\r\n"
            b"Set-Cookie: b=2\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        )

    async with listening(serve) as cloud:
        config = f'upstreams: [{{name: cloud, base_url: "{cloud}", api_key: sk-upstream}}]\nlocal: false'
        async with running_proxy(config) as (_, base_url), connected(base_url) as connection:
            answer = await connection.ask(request("POST", f"/v1{path}", b'{"model":"m"}'))
            again = await connection.ask(request("POST", f"/v1{path}", b'{"model":"m"}'))
    assert (answer.status, answer.body, again.status) == (200, body, 200)
    dropped = ("connection", "x-nominated", "keep-alive", "proxy-authenticate", "trailer", "upgrade")
    assert {name: answer.header(name) for name in dropped} == dict.fromkeys(dropped)
    assert answer.headers["set-cookie"] == ["a=1", "b=2"]
    assert answer.header("x-kept") == "1"


ODD_BODY = (
    b'{ "model" :"gpt-4o",\n\t"messages":[{"role":"user","content":"caf\\u00e9 \xc3\xa9 \xf0\x9f\x90\xa2 \\/"}],'
    b'"unknown":{"big":123456789012345678901234567890,"e":1E+2,"dup":1,"dup":2}, "temperature":1.0 }\n'
)


async def test_body_survives_byte_for_byte(upstream: FaultUpstream) -> None:
    async with running_proxy(alone(upstream)) as (_, base_url), connected(base_url) as connection:
        answer = await connection.ask(request("POST", "/v1/chat/completions", ODD_BODY))
    assert answer.status == 200
    assert upstream.requests[0].body == ODD_BODY


async def test_renamed_model_leaves_every_other_value_as_it_was(upstream: FaultUpstream) -> None:
    config = alone(upstream, "models: {gpt-4o: deployment-7}")
    async with running_proxy(config) as (_, base_url), connected(base_url) as connection:
        answer = await connection.ask(request("POST", "/v1/chat/completions", ODD_BODY))
    seen = upstream.requests[0]
    assert (answer.status, seen.fields()["model"]) == (200, "deployment-7")
    assert b'{"big":123456789012345678901234567890,"e":1E+2,"dup":1,"dup":2}' in seen.body
    assert b'"caf\\u00e9 \xc3\xa9 \xf0\x9f\x90\xa2 \\/"' in seen.body
    assert values(seen, "content-length") == [str(len(seen.body))]


@pytest.mark.parametrize("path", ENDPOINTS)
async def test_what_identifies_the_sdk_survives(
    path: str, upstream: FaultUpstream, session: aiohttp.ClientSession
) -> None:
    sdk = {
        "User-Agent": "OpenAI/Python 2.0",
        "x-stainless-lang": "python",
        "x-stainless-retry-count": "0",
        "x-request-id": "mine-1",
        "Idempotency-Key": "key-1",
        "OpenAI-Beta": "assistants=v2",
    }
    async with running_proxy(alone(upstream)) as (_, base_url):
        await ask(session, base_url + path, **sdk)
    seen = upstream.requests[0]
    assert {name: values(seen, name) for name in sdk} == {name: [value] for name, value in sdk.items()}
    assert values(seen, "via") == ["1.1 hotspare"]


async def test_client_that_names_no_agent_gets_none(upstream: FaultUpstream) -> None:
    async with running_proxy(alone(upstream)) as (_, base_url), connected(base_url) as connection:
        await connection.ask(request("POST", "/v1/chat/completions", b'{"model":"m"}'))
    assert values(upstream.requests[0], "user-agent") == []
    assert values(upstream.requests[0], "accept") == []


@pytest.mark.parametrize("stream", [False, True], ids=["unstreamed", "streamed"])
async def test_answer_tells_who_gave_it(stream: bool, upstream: FaultUpstream, session: aiohttp.ClientSession) -> None:
    question = {**QUESTION, "stream": stream}
    async with (
        running_proxy(alone(upstream)) as (_, base_url),
        session.post(f"{base_url}/chat/completions", json=question, headers={"x-request-id": "mine"}) as answer,
    ):
        await answer.read()
    ours = {name.lower(): value for name, value in answer.headers.items() if name.lower().startswith("x-hotspare")}
    assert ours == {
        "x-hotspare-upstream": "cloud",
        "x-hotspare-model": "gpt-4o",
        "x-hotspare-attempts": "1",
        "x-hotspare-request-id": "mine",
    }
    assert answer.headers.getall("x-request-id") == ["req_fake_1"]
    assert answer.headers.getall("Via") == ["1.1 hotspare"]


WAYS_TO_FAIL = [
    Behaviour.OK,
    Behaviour.RESET,
    Behaviour.GARBAGE,
    Behaviour.HEADERS_THEN_HANG,
    Behaviour.UNAUTHORIZED_401,
    Behaviour.BAD_REQUEST_400,
    Behaviour.BROKEN_JSON_200,
    Behaviour.NO_FINISH,
    Behaviour.CUT,
]


@pytest.mark.slow
@pytest.mark.parametrize("behaviour", WAYS_TO_FAIL, ids=lambda behaviour: behaviour.name.lower())
async def test_no_key_and_no_prompt_is_ever_told(
    behaviour: Behaviour, upstream: FaultUpstream, session: aiohttp.ClientSession
) -> None:
    upstream.behaviour = behaviour
    told = []
    config = alone(upstream, "api_key: sk-upstream, headers: {x-tenant: secret-tenant}") + clients()
    logged = io.StringIO()
    with log.configured("json", "debug", logged):
        async with running_proxy(config) as (_, base_url):
            posts = [
                session.post(f"{base_url}{path}", json={**PRIVATE, "stream": stream}, headers=CREDENTIALS)
                for path, stream in (("/chat/completions", False), ("/chat/completions", True), ("/files", False))
            ]
            for answer in await asyncio.gather(*posts):
                if answer.status != 200:  # an answer of 200 may well repeat the prompt, as the echo does
                    told.append(await answer.text())
                answer.close()
            async with session.get(base_url.replace("/v1", "/metrics")) as answer:
                told.append(await answer.text())
    told.append(logged.getvalue())
    assert '"message":"request"' in logged.getvalue()
    secrets = (CLIENT_KEY, "sk-upstream", "secret-tenant", PROMPT)
    assert [secret for secret in secrets if secret in "\n".join(told)] == []


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"gpt-4o","messages":[{"content":"a very private question"',
        b'"a very private question"',
        b'{"model":{"a very private question":1}}',
        b'{"model":"m","stream":"a very private question"}',
        b'{"model":"m","messages":"a very private question\xff"}',
    ],
)
async def test_refusal_of_a_body_does_not_repeat_it(body: bytes, upstream: FaultUpstream) -> None:
    logged = io.StringIO()
    with log.configured("json", "debug", logged):
        async with running_proxy(alone(upstream)) as (_, base_url), connected(base_url) as connection:
            answer = await connection.ask(request("POST", "/v1/chat/completions", body))
    assert '"message":"request"' in logged.getvalue()
    assert PROMPT not in f"{answer.body!r} {logged.getvalue()}"
