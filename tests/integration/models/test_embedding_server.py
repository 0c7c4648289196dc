"""A server whose model makes embeddings, as a client sees it."""

import asyncio
import base64
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest

from models.errors import EXIT_SETUP
from tests.integration.models.tiny import Kind, write
from tests.integration.models.tiny_bert import CONTEXT, WIDTH, Pooling, write_bert
from tests.model_child import Child

pytestmark = pytest.mark.slow

NAME = "tiny"


@pytest.fixture(scope="module")
def embedding_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Child]:
    file = write_bert(tmp_path_factory.mktemp("bert") / f"{NAME}.gguf")
    child = Child("--model", str(file), "--threads", "1")
    child.lines_until("ready")
    yield child
    child.close()


@pytest.fixture
async def session(embedding_server: Child) -> AsyncIterator[aiohttp.ClientSession]:
    async with embedding_server.connect() as session:
        yield session


async def ask(session: aiohttp.ClientSession, given: Any, **fields: Any) -> tuple[int, Any]:
    async with session.post("/v1/embeddings", json={"model": NAME, "input": given} | fields) as answer:
        return answer.status, await answer.json()


async def vectors(session: aiohttp.ClientSession, given: Any) -> np.ndarray[Any, Any]:
    _, body = await ask(session, given)
    return np.array([row["embedding"] for row in body["data"]])


async def test_answer_has_openais_shape(session: aiohttp.ClientSession) -> None:
    status, body = await ask(session, ["the cat sat", "red"])
    assert (status, body["object"], body["model"]) == (200, "list", NAME)
    assert [(row["object"], row["index"], len(row["embedding"])) for row in body["data"]] == [
        ("embedding", 0, WIDTH),
        ("embedding", 1, WIDTH),
    ]
    assert body["usage"] == {"prompt_tokens": 5 + 3, "total_tokens": 5 + 3}


async def test_vectors_have_length_one_and_are_the_same_alone_and_together(session: aiohttp.ClientSession) -> None:
    texts = ["the cat sat on the mat", "a dog ran", "one two three"]
    together = await vectors(session, texts)
    alone = np.concatenate([await vectors(session, text) for text in texts])
    assert np.linalg.norm(together, axis=1) == pytest.approx(np.ones(3), abs=1e-5)
    assert together == pytest.approx(alone, abs=1e-3)


async def test_crowd_gets_what_each_would_get_alone(session: aiohttp.ClientSession) -> None:
    texts = [f"the cat sat on {number} mats" for number in range(40)]
    crowd = await asyncio.gather(*(vectors(session, text) for text in texts))
    assert np.concatenate(crowd) == pytest.approx(await vectors(session, texts), abs=1e-3)


async def test_base64_is_the_same_numbers(session: aiohttp.ClientSession) -> None:
    _, plain = await ask(session, "the cat")
    _, packed = await ask(session, "the cat", encoding_format="base64")
    numbers = np.frombuffer(base64.b64decode(packed["data"][0]["embedding"]), "<f4")
    assert numbers == pytest.approx(np.array(plain["data"][0]["embedding"]), abs=1e-6)


async def test_token_ids_are_taken_as_they_are(session: aiohttp.ClientSession) -> None:
    status, body = await ask(session, [[5, 6, 7], [5]])
    assert (status, len(body["data"]), body["usage"]["prompt_tokens"]) == (200, 2, 4)


@pytest.mark.parametrize(
    ("given", "fields", "param"),
    [
        ("", {}, "input[0]"),
        (["fine", ""], {}, "input[1]"),
        ([[9999]], {}, "input[0]"),
        ("x", {"dimensions": WIDTH // 2}, "dimensions"),
        ("x", {"model": "other"}, "model"),
    ],
)
async def test_what_cannot_be_done_names_the_parameter(
    session: aiohttp.ClientSession, given: Any, fields: dict[str, Any], param: str
) -> None:
    status, body = await ask(session, given, **fields)
    assert (status // 100, body["error"]["param"]) == (4, param)


@pytest.mark.parametrize("words", [CONTEXT, 100_000])
async def test_text_that_is_too_long_is_refused_and_not_cut(session: aiohttp.ClientSession, words: int) -> None:
    status, body = await ask(session, "cat " * words)
    assert (status, body["error"]["code"]) == (400, "context_length_exceeded")


async def test_own_width_may_be_asked_for(session: aiohttp.ClientSession) -> None:
    status, _ = await ask(session, "x", dimensions=WIDTH)
    assert status == 200


async def test_chat_with_a_model_for_embeddings_is_a_clear_400(session: aiohttp.ClientSession) -> None:
    chat = {"model": NAME, "messages": [{"role": "user", "content": "Hi"}]}
    async with session.post("/v1/chat/completions", json=chat) as answer:
        body = await answer.json()
    assert answer.status == 400
    assert "embeddings only" in body["error"]["message"]


async def test_health_tells_what_was_read(session: aiohttp.ClientSession) -> None:
    await ask(session, "the cat")
    async with session.get("/health") as answer:
        body = await answer.json()
    assert answer.status == 200
    assert body["read_tokens"] >= 4


def test_model_for_neither_chats_nor_embeddings_is_not_served(tmp_path: Path) -> None:
    child = Child("--model", str(write_bert(tmp_path / "ranks.gguf", Pooling.RANK)))
    assert "neither for chats nor for embeddings" in child.lines_until("failed")[-1]["message"]
    assert child.process.wait(timeout=30) == EXIT_SETUP
    child.close()


async def test_embeddings_of_a_chat_model_are_a_clear_400(tmp_path: Path) -> None:
    child = Child("--model", str(write(Kind.FULL, tmp_path / f"{NAME}.gguf")), "--threads", "1")
    child.lines_until("ready")
    async with child.connect() as session:
        status, body = await ask(session, "Hi")
    child.close()
    assert (status, body["error"]["param"]) == (400, "model")
    assert "makes no embeddings" in body["error"]["message"]
