"""Every path below /v1/ that is no completion: it goes to the cloud and back unchanged, and streams both ways."""

import asyncio
import gzip
from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.fakes.behaviour import Behaviour
from tests.fakes.upstream import FaultUpstream
from tests.integration.raw import Connection, connected, listening, request
from tests.running import TIMEOUTS, alone, running_proxy

EVERY_BYTE = bytes(range(256)) * 512


@pytest.fixture
async def base_url(upstream: FaultUpstream) -> AsyncIterator[str]:
    """Of a proxy before one cloud, with nobody behind it."""
    async with running_proxy(alone(upstream)) as (_, url):
        yield url


def pointing_at(base_url: str) -> str:
    return f"""
upstreams: [{{name: cloud, base_url: "{base_url}", api_key: sk-upstream}}]
local: false
limits: {{drain: 1s}}
"""


def two_clouds(first: FaultUpstream, second: FaultUpstream) -> str:
    return f"""
upstreams:
  - {{name: first, base_url: "{first.base_url}", api_key: sk-first, {TIMEOUTS}}}
  - {{name: second, base_url: "{second.base_url}", api_key: sk-second, {TIMEOUTS}}}
local: false
"""


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"])
@pytest.mark.parametrize(
    "target",
    [
        "/files",
        "/files/a%2Fb%20c/%C3%A9%c3%a9/content",
        "/files?after=x%26y&limit=1&empty=&bare&plus=a+b&limit=2",
        "/threads/t_1/runs//r_1/",
        "/vector_stores/a;b=c/:search/..a/~!$'()*,@",
    ],
)
async def test_method_and_target_reach_the_cloud_as_sent(
    method: str, target: str, base_url: str, upstream: FaultUpstream
) -> None:
    async with connected(base_url) as connection:
        await connection.send(request(method, f"/v1{target}"))
        answer = await connection.answer(to_head=method == "HEAD")
    seen = upstream.requests[0]
    assert (answer.status, seen.method, seen.target) == (200, method, f"/v1{target}")


@pytest.mark.parametrize("path", ["/models/ft:gpt-4o:acme", "/chat/completions/chatcmpl-1", "/responses/resp_1"])
async def test_deletions_go_to_the_cloud(
    path: str, base_url: str, upstream: FaultUpstream, session: aiohttp.ClientSession
) -> None:
    async with session.delete(base_url + path) as answer:
        assert answer.status == 200
    assert upstream.requests[0].target == f"/v1{path}"


@pytest.mark.parametrize(
    "content_type", ["multipart/form-data; boundary=x--y", "application/octet-stream", "audio/mpeg", "text/plain"]
)
async def test_binary_body_passes_byte_for_byte_both_ways(
    content_type: str, base_url: str, upstream: FaultUpstream, session: aiohttp.ClientSession
) -> None:
    headers = {"Content-Type": content_type}
    async with session.post(f"{base_url}/files", data=EVERY_BYTE, headers=headers) as answer:
        echoed = await answer.read()
    assert (echoed, answer.headers["Content-Type"]) == (EVERY_BYTE, content_type)
    assert (upstream.requests[0].body, upstream.requests[0].header("content-type")) == (EVERY_BYTE, content_type)


async def test_multipart_form_streamed_in_parts_passes_byte_for_byte(
    base_url: str, upstream: FaultUpstream, session: aiohttp.ClientSession
) -> None:
    with aiohttp.MultipartWriter("form-data", boundary="0a1b") as form:
        form.append("batch").set_content_disposition("form-data", name="purpose")
        form.append(EVERY_BYTE).set_content_disposition("form-data", name="file", filename="naïve.bin")
    async with session.post(f"{base_url}/files", data=form) as answer:
        await answer.read()
    seen = upstream.requests[0]
    assert seen.body.startswith(b"--0a1b\r\n")
    assert seen.body.endswith(b"\r\n--0a1b--\r\n")
    assert EVERY_BYTE in seen.body
    assert seen.header("content-type") == "multipart/form-data; boundary=0a1b"


async def test_known_lengths_are_kept_both_ways(
    base_url: str, upstream: FaultUpstream, session: aiohttp.ClientSession
) -> None:
    async with session.post(f"{base_url}/files", data=EVERY_BYTE) as answer:
        await answer.read()
    seen = upstream.requests[0]
    assert answer.headers.getall("Content-Length") == [str(len(EVERY_BYTE))]
    assert [value for name, value in seen.headers if name.lower() == "content-length"] == [str(len(EVERY_BYTE))]
    assert seen.header("transfer-encoding") is None


async def test_request_without_body_is_sent_without_one(
    base_url: str, upstream: FaultUpstream, session: aiohttp.ClientSession
) -> None:
    async with session.get(f"{base_url}/files") as answer:
        await answer.read()
    assert upstream.requests[0].header("transfer-encoding") is None
    assert upstream.requests[0].header("content-length") in (None, "0")


async def test_length_in_the_answer_to_head_is_kept_and_the_connection_with_it() -> None:
    async def serve(upstream: Connection) -> None:
        while await upstream.reader.readuntil(b"\r\n\r\n"):
            await upstream.send(b"HTTP/1.1 200 OK\r\ncontent-length: 1234\r\netag: abc\r\n\r\n")

    async with (
        listening(serve) as cloud,
        running_proxy(pointing_at(cloud)) as (_, base_url),
        connected(base_url) as connection,
    ):
        for _ in range(2):
            await connection.send(request("HEAD", "/v1/files/f/content"))
            answer = await connection.answer(to_head=True)
            assert answer.headers["content-length"] == ["1234"]


async def test_chunked_upload_reaches_the_cloud_while_it_is_sent() -> None:
    seen: asyncio.Queue[bytes] = asyncio.Queue()

    async def serve(upstream: Connection) -> None:
        seen.put_nowait(await upstream.reader.readuntil(b"\r\n\r\n"))
        for _ in range(2):
            size = int(await upstream.reader.readline(), 16)
            seen.put_nowait((await upstream.reader.readexactly(size + 2))[:-2])
        await upstream.reader.readuntil(b"0\r\n\r\n")
        await upstream.send(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")

    async with (
        listening(serve) as cloud,
        running_proxy(pointing_at(cloud)) as (_, base_url),
        connected(base_url) as connection,
    ):
        await connection.send(request("POST", "/v1/uploads", transfer_encoding="chunked") + b"5\r\nfirst\r\n")
        head = (await seen.get()).lower()
        assert await seen.get() == b"first"
        await connection.send(b"6\r\nsecond\r\n0\r\n\r\n")
        assert await seen.get() == b"second"
        answer = await connection.answer()
    assert answer.status == 200
    assert b"transfer-encoding: chunked" in head
    assert b"content-length" not in head


async def test_upload_that_waits_for_continue_is_invited(base_url: str, upstream: FaultUpstream) -> None:
    async with connected(base_url) as connection:
        await connection.send(request("PUT", "/v1/files/f", expect="100-continue", content_length="4"))
        invitation = await connection.answer()
        answer = await connection.ask(b"body")
    assert (invitation.status, answer.status) == (100, 200)
    assert upstream.requests[0].body == b"body"


async def test_answer_reaches_the_client_while_it_is_sent(session: aiohttp.ClientSession) -> None:
    is_seen = asyncio.Event()

    async def serve(upstream: Connection) -> None:
        await upstream.reader.readuntil(b"\r\n\r\n")
        await upstream.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        await is_seen.wait()
        await upstream.send(b"6\r\nsecond\r\n0\r\n\r\n")

    async with (
        listening(serve) as cloud,
        running_proxy(pointing_at(cloud)) as (_, base_url),
        session.get(f"{base_url}/responses/r?stream=true") as answer,
    ):
        assert await answer.content.readany() == b"first"
        is_seen.set()
        assert await answer.read() == b"second"


async def test_compressed_answer_passes_untouched(session: aiohttp.ClientSession) -> None:
    packed = gzip.compress(EVERY_BYTE)
    head = f"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {len(packed)}\r\nvary: a\r\nvary: b\r\n\r\n"
    asked: list[bytes] = []

    async def serve(upstream: Connection) -> None:
        asked.append(await upstream.reader.readuntil(b"\r\n\r\n"))
        await upstream.send(head.encode() + packed)

    headers = {"Accept-Encoding": "gzip;q=0.5, br"}
    async with (
        listening(serve) as cloud,
        running_proxy(pointing_at(cloud)) as (_, base_url),
        session.get(f"{base_url}/files/f/content", headers=headers) as answer,
    ):
        assert await answer.read() == packed
    assert b"Accept-Encoding: gzip;q=0.5, br\r\n" in asked[0]
    assert answer.headers["Content-Encoding"] == "gzip"
    assert answer.headers["Content-Length"] == str(len(packed))
    assert answer.headers.getall("Vary") == ["a", "b"]


@pytest.mark.parametrize(
    "behaviour",
    [
        Behaviour.NOT_FOUND_404,
        Behaviour.UNAUTHORIZED_401,
        Behaviour.RATE_LIMITED_429,
        Behaviour.ERROR_500,
        Behaviour.ERROR_502_HTML,
        Behaviour.ERROR_530,
    ],
    ids=lambda behaviour: behaviour.name.lower(),
)
async def test_errors_of_the_cloud_pass_unchanged(
    behaviour: Behaviour, base_url: str, upstream: FaultUpstream, session: aiohttp.ClientSession
) -> None:
    upstream.behaviour = behaviour
    async with session.get(f"{base_url}/files/f") as answer:
        body = await answer.read()
    sent = upstream.sent[0]
    assert (answer.status, body) == (sent.status, sent.body)
    assert set(sent.headers) <= {(name.lower(), value) for name, value in answer.headers.items()}


async def test_redirect_of_the_cloud_is_for_the_client_to_follow(session: aiohttp.ClientSession) -> None:
    async def serve(upstream: Connection) -> None:
        await upstream.reader.readuntil(b"\r\n\r\n")
        await upstream.send(
            b"HTTP/1.1 307 Temporary Redirect\r\nlocation: http://other.invalid/x\r\ncontent-length: 0\r\n\r\n"
        )

    async with (
        listening(serve) as cloud,
        running_proxy(pointing_at(cloud)) as (_, base_url),
        session.get(f"{base_url}/files/f/content", allow_redirects=False) as answer,
    ):
        assert (answer.status, answer.headers["Location"]) == (307, "http://other.invalid/x")


async def test_answer_says_who_gave_it(base_url: str, session: aiohttp.ClientSession) -> None:
    async with session.get(f"{base_url}/files", headers={"x-request-id": "mine"}) as answer:
        await answer.read()
    assert answer.headers["x-hotspare-upstream"] == "cloud"
    assert answer.headers["x-hotspare-attempts"] == "1"
    assert answer.headers["x-hotspare-request-id"] == "mine"
    assert answer.headers["x-request-id"] == "req_fake_1"
    assert answer.headers["Via"] == "1.1 hotspare"


@pytest.mark.parametrize(
    "target",
    [
        "/v1/files/../organization/keys",
        "/v1/./files",
        "/v1/files/%2e%2e/keys",
        "/v1/files/.%2E/keys",
        "/v1/files/..",
        "/v1/files/..%2fkeys",
        "/v1/files/..%5Ckeys",
        "/v1/files/%252e./%2E%2e%2F",
        "/v1/chat/completions/../../files",
        "/v1/chat/../chat/completions",
    ],
)
async def test_dot_segments_are_refused(target: str, base_url: str, upstream: FaultUpstream) -> None:
    async with connected(base_url) as connection:
        answer = await connection.ask(request("POST", target))
    assert (answer.status, answer.error["code"]) == (400, "invalid_path")
    assert upstream.requests == []


@pytest.mark.parametrize("path", ["/v1/realtime", "/v1/files", "/v1/responses"])
async def test_upgrade_to_a_websocket_is_refused(path: str, base_url: str, upstream: FaultUpstream) -> None:
    upgrade = request(
        "GET",
        path,
        connection="keep-alive, Upgrade",
        upgrade="websocket",
        sec_websocket_version="13",
        sec_websocket_key="dGhlIHNhbXBsZSBub25jZQ==",
    )
    async with connected(base_url) as connection:
        answer = await connection.ask(upgrade)
    assert (answer.status, answer.error["code"]) == (501, "unsupported")
    assert upstream.requests == []


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_without_a_cloud_other_paths_are_unknown(method: str) -> None:
    config = 'local: {url: "http://127.0.0.1:9/v1", served_model: m}'
    async with running_proxy(config) as (_, base_url), connected(base_url) as connection:
        answer = await connection.ask(request(method, "/v1/files/f"))
    assert (answer.status, answer.error["code"]) == (404, "unknown_url")
    assert "no cloud upstream is configured" in answer.error["message"]


async def test_cloud_that_is_down_is_one_503(base_url: str, upstream: FaultUpstream) -> None:
    await upstream.stop()
    async with connected(base_url) as connection:
        answer = await connection.ask(request("POST", "/v1/files", b"{}"))
    assert (answer.status, answer.error["type"]) == (503, "server_error")
    assert "cloud: connect" in answer.error["message"]
    assert answer.header("x-should-retry") == "false"
    assert answer.header("retry-after") == "5"


@pytest.mark.parametrize("behaviour", [Behaviour.RESET, Behaviour.CLOSE, Behaviour.GARBAGE])
async def test_cloud_that_gives_no_answer_is_one_503(
    behaviour: Behaviour, base_url: str, upstream: FaultUpstream
) -> None:
    upstream.behaviour = behaviour
    async with connected(base_url) as connection:
        answer = await connection.ask(request("POST", "/v1/files", b"{}"))
    assert (answer.status, answer.error["code"]) == (503, "no_upstream_available")


@pytest.mark.parametrize("path", ["/images/generations", "/audio/transcriptions", "/moderations"])
async def test_path_without_state_goes_to_the_second_cloud(
    path: str, upstream: FaultUpstream, session: aiohttp.ClientSession
) -> None:
    async with FaultUpstream() as second, running_proxy(two_clouds(upstream, second)) as (_, base_url):
        await upstream.stop()
        async with session.post(base_url + path, data=EVERY_BYTE) as answer:
            echoed = await answer.read()
        assert (answer.headers["x-hotspare-upstream"], echoed) == ("second", EVERY_BYTE)
        assert answer.headers["x-hotspare-reason"] == "first: connect"
        assert answer.headers["x-hotspare-attempts"] == "2"


@pytest.mark.parametrize("path", ["/files", "/batches/b_1", "/responses", "/images", "/audiobooks/1"])
async def test_path_with_state_stays_with_the_first_cloud(
    path: str, upstream: FaultUpstream, session: aiohttp.ClientSession
) -> None:
    async with FaultUpstream() as second, running_proxy(two_clouds(upstream, second)) as (_, base_url):
        await upstream.stop()
        async with session.post(base_url + path, data=EVERY_BYTE) as answer:
            assert answer.status == 503
        assert second.requests == []


async def test_request_that_a_cloud_has_read_is_not_repeated_elsewhere(
    upstream: FaultUpstream, session: aiohttp.ClientSession
) -> None:
    upstream.behaviour = Behaviour.RESET
    async with FaultUpstream() as second, running_proxy(two_clouds(upstream, second)) as (_, base_url):
        async with session.post(f"{base_url}/images/generations", data=EVERY_BYTE) as answer:
            assert answer.status == 503
        assert second.requests == []


@pytest.mark.parametrize("behaviour", [Behaviour.CUT, Behaviour.CUT_RESET])
async def test_answer_of_known_length_that_is_cut_is_cut_for_the_client(
    behaviour: Behaviour, base_url: str, upstream: FaultUpstream, session: aiohttp.ClientSession
) -> None:
    upstream.behaviour = behaviour
    with pytest.raises(aiohttp.ClientError):
        async with session.post(f"{base_url}/files", data=EVERY_BYTE) as answer:
            await answer.read()


@pytest.mark.parametrize("half", [b"5\r\nfirst\r\n", b"5\r\nfi", b"5\r\nfirst\r\n0"])
async def test_chunked_answer_that_is_cut_is_cut_for_the_client(half: bytes) -> None:
    async def serve(upstream: Connection) -> None:
        await upstream.reader.readuntil(b"\r\n\r\n")
        await upstream.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + half)

    async with (
        listening(serve) as cloud,
        running_proxy(pointing_at(cloud)) as (_, base_url),
        connected(base_url) as connection,
    ):
        await connection.send(request("GET", "/v1/files/f/content"))
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await connection.answer()
