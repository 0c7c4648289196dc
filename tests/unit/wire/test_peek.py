"""What routing reads of a request, and what it refuses to read."""

import msgspec
import pytest

from proxy.core.candidates import Need
from proxy.errors import RequestInvalid
from proxy.wire.peek import Peek, peek, with_model


def body(**fields: object) -> bytes:
    return msgspec.json.encode({"model": "gpt-5", "messages": [{"role": "user", "content": "Hi"}], **fields})


def nested(levels: int) -> bytes:
    return b'{"model":"gpt-5","metadata":' + b"[" * levels + b"]" * levels + b"}"


def refusal(sent: bytes) -> RequestInvalid:
    with pytest.raises(RequestInvalid) as caught:
        peek(sent)
    return caught.value


def test_plain_request_needs_nothing() -> None:
    assert peek(body()) == Peek("gpt-5", is_stream=False, needs=frozenset())


FUNCTION = {"type": "function", "function": {"name": "f"}}
IMAGE = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO"}}]}]
AUDIO = [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}}]}]


@pytest.mark.parametrize(
    ("fields", "needs"),
    [
        ({"tools": [FUNCTION]}, {"tools"}),
        ({"functions": [{"name": "f"}]}, {"tools"}),
        ({"tools": [FUNCTION], "tool_choice": "auto"}, {"tools"}),
        ({"tools": [FUNCTION], "tool_choice": "none"}, {"tools"}),
        ({"tools": [FUNCTION], "tool_choice": "required"}, {"tools", "required_tool"}),
        ({"tools": [FUNCTION], "tool_choice": FUNCTION}, {"tools", "required_tool"}),
        ({"response_format": {"type": "json_object"}}, {"json"}),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": {}}}}, {"json"}),
        ({"response_format": {"type": "text"}}, set()),
        ({"response_format": "json_object"}, set()),
        ({"logprobs": True}, {"logprobs"}),
        ({"logprobs": 5}, {"logprobs"}),
        ({"logit_bias": {"1734": -100}}, {"logit_bias"}),
        ({"logit_bias": {}}, set()),
        ({"logit_bias": None}, set()),
        ({"prompt": [1734, 7]}, {"token_ids"}),
        ({"prompt": [[1734], [7]]}, {"token_ids"}),
        ({"prompt": "[1734]"}, set()),
        ({"prompt": ["1734"]}, set()),
        ({"prompt": []}, set()),
        ({"prompt": None}, set()),
        ({"messages": IMAGE}, {"vision"}),
        ({"messages": AUDIO}, {"audio"}),
        ({"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "wav"}}, {"audio"}),
        ({"tools": [], "functions": None, "logprobs": False, "audio": None, "tool_choice": None}, set()),
    ],
)
def test_needs_are_read_from_the_fields(fields: dict[str, object], needs: set[str]) -> None:
    assert peek(body(**fields)).needs == needs


def test_every_need_that_is_read_is_one_that_routing_knows() -> None:
    everything = body(
        tools=[FUNCTION],
        tool_choice="required",
        response_format={"type": "json_object"},
        logprobs=True,
        messages=IMAGE,
        logit_bias={"1": 1},
        prompt=[1],
    )
    assert {Need(word) for word in peek(everything).needs} == set(Need) - {Need.AUDIO, Need.EMBEDDINGS, Need.HISTORY}


@pytest.mark.parametrize(
    "prose",
    [
        'How do I send an "image_url" to the API?',
        '{"type": "image_url", "image_url": {"url": "https://…"}} does not work',
        'Say "input_audio"',
        "\\",
        '\\"image_url\\"',
    ],
)
def test_prose_about_images_is_no_image(prose: str) -> None:
    assert peek(body(messages=[{"role": "user", "content": prose}])).needs == frozenset()


@pytest.mark.parametrize(
    ("stream", "is_stream"), [(b"true", True), (b"false", False), (b"null", False), (b" true ", True)]
)
def test_stream_is_a_flag(stream: bytes, is_stream: bool) -> None:
    assert peek(b'{"model":"m","stream":' + stream + b"}").is_stream is is_stream


@pytest.mark.parametrize("stream", ["true", 1, 0, [], {}, 1.5])
def test_stream_that_is_no_flag_is_refused(stream: object) -> None:
    error = refusal(body(stream=stream))
    assert (error.status, error.param, error.code) == (400, "stream", "invalid_type")


@pytest.mark.parametrize("sent", [b"{}", b'{"model":null}', b'{"Model":"m"}'])
def test_missing_model_is_named(sent: bytes) -> None:
    assert refusal(sent).code == "missing_required_parameter"


@pytest.mark.parametrize("model", [b'""', b"5", b"[]", b'{"id":"m"}', b"true", b'"\xff"', b'"m\xc3"'])
def test_odd_model_is_refused(model: bytes) -> None:
    error = refusal(b'{"model":' + model + b"}")
    assert (error.status, error.param, error.code) == (400, "model", "invalid_type")


@pytest.mark.parametrize("model", ["org/model:free", "модель", "a b", "x\ny", '"'])
def test_model_is_taken_as_it_is(model: str) -> None:
    assert peek(body(model=model)).model == model


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"[]",
        b'"model"',
        b"null",
        b"model=gpt-5",
        b'{"model":"m"',
        b'{"model":"m"} trailing',
        b'{"model":"m"}{"model":"n"}',
        b"\xef\xbb\xbf" + body(),
        b'{"model":"m",}',
        b'{"model":"\\ud800"}',
        b"\xff\xfe",
        nested(100_000),
        b"[" * 100_000,
    ],
)
def test_what_is_no_json_object_is_refused(sent: bytes) -> None:
    error = refusal(sent)
    assert (error.status, error.code) == (400, "invalid_json")


def test_honest_nesting_is_read() -> None:
    assert peek(nested(100)).model == "gpt-5"


def test_last_of_two_models_counts_as_in_other_json_readers() -> None:
    sent = b'{"model":"a","model":"b"}'
    assert peek(sent).model == "b"
    assert with_model(sent, "c") == b'{"model":"c"}'


def test_refusal_does_not_repeat_what_the_client_wrote() -> None:
    assert "secret" not in refusal(b'{"model":"m","messages":"secret" oops}').message


@pytest.mark.parametrize("response_format", [b'{"type":"\xff"}', b'{"type":5}', b"[]", b"7"])
def test_odd_response_format_is_for_the_upstream_to_refuse(response_format: bytes) -> None:
    assert peek(b'{"model":"m","response_format":' + response_format + b"}").needs == frozenset()


def test_with_model_changes_the_model_and_not_a_byte_of_the_rest() -> None:
    sent = (
        b'{"temperature":1.50e0,"model":"gpt-5","seed":12345678901234567890123,"messages":[ {"content":"\\u00e9/"} ]}'
    )
    expected = sent.replace(b'"gpt-5"', b'"smollm2"')
    assert with_model(sent, "smollm2") == expected


def test_with_model_writes_names_that_need_escaping() -> None:
    assert peek(with_model(body(), 'a"b\\ü')).model == 'a"b\\ü'


def test_field_name_that_is_no_utf_8_cannot_be_sent_on_under_another_model() -> None:
    with pytest.raises(RequestInvalid, match="UTF-8"):
        with_model(b'{"model":"m","\xff":1}', "n")


def test_fields_that_are_dropped_are_gone() -> None:
    assert (
        with_model(b'{"model":"m","logit_bias":{"1":1},"n":1.0}', "s", ("logit_bias", "x")) == b'{"model":"s","n":1.0}'
    )
