"""Real models of other families than the default, each served as a client would have it: see `real` for which, and
docs/local-model.md for what was seen of them.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp
import numpy as np
import pytest

from tests.integration.models import real
from tests.integration.models.minilm import MiniLm
from tests.model_child import Child

MODELS: Final = real.folder()

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(MODELS is None, reason=f"{real.VARIABLE} names no folder with real models"),
]

RELATED: Final = [
    ("How do I reset my password?", "I forgot my login credentials."),
    ("The invoice is due in 30 days.", "Payment must be made within a month."),
    ("A cat sat on the mat.", "The kitten rested on the rug."),
    ("The train to Berlin is late.", "There is a delay on the railway line to the German capital."),
]
TEXTS: Final = [
    *(text for pair in RELATED for text in pair),
    "a",
    "That is a happy person",
    "That is a happy dog",
    "That is a very happy person",
    "Today is a sunny day",
    "Quantum chromodynamics describes quarks and gluons.",
    "def add(a, b):\n    return a + b",
    "SELECT * FROM users WHERE id = 42;",
    "https://example.com/path?q=1&x=%20y#frag",
    "supercalifragilisticexpialidocious antidisestablishmentarianism",
    "tabs\tand\nnewlines\r\n  and   spaces, ALL CAPS, O'Reilly's",
    "The quick brown fox jumps over the lazy dog. " * 12,
]

WEATHER: Final[dict[str, Any]] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "unit": {"enum": ["celsius", "fahrenheit"]}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}
STRICT: Final[dict[str, Any]] = {
    "type": "function",
    "function": {
        **WEATHER["function"],
        "strict": True,
        "parameters": {**WEATHER["function"]["parameters"], "required": ["city", "unit"]},
    },
}
BORN: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "born": {"type": "integer"}, "city": {"type": "string"}},
    "required": ["name", "born", "city"],
    "additionalProperties": False,
}


def models() -> Path:
    assert MODELS is not None
    return MODELS


@contextmanager
def serving(file: Path) -> Iterator[Child]:
    child = Child("--model", str(file), "--deterministic")
    child.lines_until("ready")
    yield child
    child.close()


@asynccontextmanager
async def talking(child: Child) -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.UnixConnector(path=child.socket)
    async with aiohttp.ClientSession("http://model", connector=connector, raise_for_status=True) as session:
        yield session


async def told(session: aiohttp.ClientSession, path: str, **body: Any) -> Any:
    async with session.post(path, json=body) as answer:
        return await answer.json()


# ---- embeddings


@pytest.fixture(scope="module")
def published() -> MiniLm:
    return MiniLm(models() / real.MINILM)


@pytest.fixture(scope="module")
def minilm(published: MiniLm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Child]:
    with serving(published.write_gguf(tmp_path_factory.mktemp("minilm") / "minilm.gguf")) as child:
        yield child


async def embedded(child: Child, given: Any) -> np.ndarray[Any, Any]:
    async with talking(child) as session:
        body = await told(session, "/v1/embeddings", model="minilm", input=given)
    return np.array([row["embedding"] for row in body["data"]])


async def test_embeddings_are_those_of_the_published_model(minilm: Child, published: MiniLm) -> None:
    given = await embedded(minilm, TEXTS)
    reckoned = np.array([published.embed(published.tokens(text)) for text in TEXTS])
    assert (given * reckoned).sum(axis=1).min() > 0.9999


async def test_texts_are_cut_into_the_tokens_that_were_trained(minilm: Child, published: MiniLm) -> None:
    async with talking(minilm) as session:
        body = await told(session, "/v1/embeddings", model="minilm", input=TEXTS)
    assert body["usage"]["prompt_tokens"] == sum(len(published.tokens(text)) for text in TEXTS)


async def test_likeness_is_what_the_authors_show(minilm: Child) -> None:
    person, *others = await embedded(minilm, TEXTS[9:13])
    assert [float(person @ other) for other in others] == pytest.approx([0.695, 0.943, 0.257], abs=0.001)


async def test_each_text_is_nearest_to_the_one_that_says_the_same(minilm: Child) -> None:
    left, right = [await embedded(minilm, [pair[side] for pair in RELATED]) for side in (0, 1)]
    likeness = left @ right.T
    assert likeness.argmax(axis=1).tolist() == list(range(len(RELATED)))


# ---- Qwen: a format that is converted, a template that knows tools


@pytest.fixture(scope="module")
def qwen() -> Iterator[Child]:
    with serving(real.checked(models(), real.QWEN)) as child:
        yield child


async def chatted(child: Child, question: str, **fields: Any) -> Any:
    messages = [{"role": "user", "content": question}]
    async with talking(child) as session:
        body = await told(
            session,
            "/v1/chat/completions",
            **{"model": real.QWEN.name.removesuffix(".gguf"), "messages": messages, "temperature": 0} | fields,
        )
    return body["choices"][0]


async def streamed(child: Child, **body: Any) -> list[Any]:
    """The choices of all chunks of a stream."""
    asked = {"model": real.QWEN.name.removesuffix(".gguf"), "temperature": 0, "stream": True} | body
    async with talking(child) as session, session.post("/v1/chat/completions", json=asked) as answer:
        lines = (await answer.text()).split("\n\n")
    return [json.loads(line.removeprefix("data: "))["choices"][0] for line in lines if line.startswith("data: {")]


async def test_question_is_answered(qwen: Child) -> None:
    choice = await chatted(qwen, "What is the capital of Japan? Answer with the city only.", max_tokens=8)
    assert (choice["message"]["content"], choice["finish_reason"]) == ("Tokyo", "stop")


async def test_call_that_is_demanded_fits_the_question(qwen: Child) -> None:
    choice = await chatted(qwen, "What is the weather in Oslo?", tools=[WEATHER], tool_choice="required")
    (call,) = choice["message"]["tool_calls"]
    assert call["function"]["name"] == "get_weather"
    assert json.loads(call["function"]["arguments"])["city"] == "Oslo"


@pytest.mark.parametrize(
    "fields",
    [{"tools": [WEATHER]}, {"tools": [STRICT]}, {"functions": [WEATHER["function"]]}],
    ids=["free", "strict", "older shape"],
)
async def test_call_that_the_model_writes_in_plain_json_is_one(qwen: Child, fields: dict[str, Any]) -> None:
    choice = await chatted(qwen, "What is the weather in Oslo?", **fields)
    message = choice["message"]
    call = message["tool_calls"][0]["function"] if "tools" in fields else message["function_call"]
    assert (call["name"], json.loads(call["arguments"])["city"], message["content"]) == ("get_weather", "Oslo", None)
    assert choice["finish_reason"] == ("tool_calls" if "tools" in fields else "function_call")


async def test_call_in_plain_json_is_streamed_as_one(qwen: Child) -> None:
    body = {"messages": [{"role": "user", "content": "What is the weather in Oslo?"}], "tools": [WEATHER]}
    chunks = await streamed(qwen, **body)
    calls = [call for chunk in chunks for call in chunk["delta"].get("tool_calls", [])]
    assert calls[0]["function"]["name"] == "get_weather"
    assert json.loads("".join(call["function"]["arguments"] for call in calls))["city"] == "Oslo"
    assert "".join(chunk["delta"].get("content", "") for chunk in chunks) == ""


async def test_json_that_was_asked_for_beside_tools_stays_an_answer(qwen: Child) -> None:
    question = "Write a JSON object of a person with name and age. Only JSON."
    choice = await chatted(qwen, question, tools=[WEATHER], max_tokens=80)
    assert ('"name"' in choice["message"]["content"], choice["finish_reason"]) == (True, "stop")


async def test_schema_is_filled_with_what_was_said(qwen: Child) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "person", "strict": True, "schema": BORN}}
    choice = await chatted(qwen, "Ada Lovelace was born in 1815 in London. Extract.", response_format=form)
    assert json.loads(choice["message"]["content"]) == {"name": "Ada Lovelace", "born": 1815, "city": "London"}


async def test_script_of_the_answer_survives_whatever_its_tokens_are(qwen: Child) -> None:
    choice = await chatted(qwen, "Repeat exactly: 日本語 🎈 naïve", max_tokens=20)
    assert choice["message"]["content"] == "日本語 🎈 naïve"


async def test_answer_goes_on_behind_any_part_of_it(qwen: Child) -> None:
    question = "List three fruits, comma separated."
    whole: str = (await chatted(qwen, question))["message"]["content"]
    cuts = [whole[:size] for size in range(0, len(whole), 4)]
    rest = [(await chatted(qwen, question, delivered_text=cut))["message"]["content"] for cut in cuts]
    assert {cut + more for cut, more in zip(cuts, rest, strict=True)} == {whole}


# ---- Gemma: a sliding window


@pytest.fixture(scope="module")
def gemma() -> Iterator[Child]:
    with serving(real.checked(models(), real.GEMMA)) as child:
        yield child


def counted(first: int, last: int) -> str:
    return ", ".join(map(str, range(first, last))) + ","


async def continued(child: Child, *prompts: str) -> list[str]:
    asked = {"model": real.GEMMA.name.removesuffix(".gguf"), "max_tokens": 12, "temperature": 0}
    async with talking(child) as session:
        bodies = await asyncio.gather(*(told(session, "/v1/completions", prompt=one, **asked) for one in prompts))
    return [body["choices"][0]["text"] for body in bodies]


@pytest.mark.parametrize("last", [60, 150, 300], ids=["within the window", "beyond it", "far beyond it"])
async def test_model_with_a_window_knows_where_it_was(gemma: Child, last: int) -> None:
    (text,) = await continued(gemma, counted(1, last))
    assert f" {counted(last, last + 9)}".startswith(text.rstrip(" ,"))


async def test_beginnings_that_were_read_before_are_known_beyond_the_window(gemma: Child) -> None:
    prompts = [f"{counted(1, 200)} {start}, {start + 1}," for start in (500, 600, 700)]
    alone = [text for prompt in prompts for text in await continued(gemma, prompt)]
    assert [text.split(",")[0].strip() for text in alone] == ["502", "602", "702"]
    assert await continued(gemma, *prompts) == alone
