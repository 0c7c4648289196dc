from datetime import UTC, datetime

import pytest

from models.engine.healing import NO_SEAM
from models.errors import LoadFailed, RequestError
from models.server.literal import LiteralMarks, Span
from models.server.prompt import PromptEncoder
from models.server.template import ChatTemplate

CONTROL = "<|end|>"
CONTROL_TOKEN = 999


class ByteVocabulary:
    """Tokens are bytes, but for one control token."""

    vocabulary_size = 1000
    longest_piece_bytes = 4
    bos: int | None = 256
    eos: int | None = 257

    def tokenize(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]:
        if not parse_special:
            return list(text.encode())
        first, *rest = text.split(CONTROL)
        return list(first.encode()) + [token for part in rest for token in (CONTROL_TOKEN, *part.encode())]

    def piece(self, token: int) -> bytes:
        return bytes([token]) if token < 256 else b""


class SpacingVocabulary(ByteVocabulary):
    """Puts a space in front of every text, as the tokenizers of Llama 2 and its kin do."""

    def tokenize(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]:
        return [*b" ", *super().tokenize(text, add_special=add_special, parse_special=parse_special)]


def template(source: str | None = None) -> ChatTemplate:
    return ChatTemplate(source, "<s>", "</s>", lambda: datetime(2026, 11, 8, tzinfo=UTC))


def encoder(context_tokens: int = 500, source: str | None = None) -> PromptEncoder:
    source = source or "{% for m in messages %}{{ m.role }}:{{ m.content }}<|end|>{% endfor %}"
    return PromptEncoder(ByteVocabulary(), template(source), LiteralMarks((CONTROL,)), context_tokens)


def user(content: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": content}]


def refused(made: PromptEncoder, messages: list[dict[str, str]]) -> RequestError:
    with pytest.raises(RequestError) as caught:
        made.chat(messages)
    return caught.value


def test_template_text_yields_control_tokens_and_message_text_does_not() -> None:
    assert encoder().chat(user(f"a{CONTROL}b")).tokens == [*b"user:a<|end|>b", CONTROL_TOKEN]


def test_forged_mark_stays_letters() -> None:
    forged = "\ue0000\ue001"
    assert encoder().chat(user(forged)).tokens == [*b"user:", *forged.encode(), CONTROL_TOKEN]


def test_marks_survive_a_template_that_trims() -> None:
    tokens = encoder(source="{{ messages[0].content | trim }}").chat(user(f"  {CONTROL} ")).tokens
    assert tokens == [*CONTROL.encode()]


def test_longest_control_text_is_taken() -> None:
    marks = LiteralMarks(("<a>", "<a><b>"))
    assert list(marks.split(marks.protect("x<a><b>"))) == [Span("x", False), Span("<a><b>", True)]


def test_tool_turn_becomes_a_user_turn_where_the_template_knows_none() -> None:
    assert encoder().chat([{"role": "tool", "content": "4"}]).tokens[:5] == [*b"user:"]


def test_tool_turn_is_kept_where_the_template_knows_it() -> None:
    made = encoder(source="{{ messages[0].role == 'tool' }}")
    assert made.chat([{"role": "tool", "content": "4"}]).tokens == [*b"True"]


def test_prompt_that_leaves_no_room_is_refused_in_openais_words() -> None:
    error = refused(encoder(context_tokens=8), user("123"))
    assert error.code == "context_length_exceeded"
    assert str(error).startswith(
        "This model's maximum context length is 8 tokens. However, your messages resulted in 9"
    )


def test_hopeless_prompt_is_refused_before_it_is_rendered() -> None:
    made = encoder(context_tokens=8, source="{{ raise_exception('rendered') }}")
    assert refused(made, user("x" * 33)).code == "context_length_exceeded"


def test_a_million_empty_messages_are_refused_before_they_are_rendered() -> None:
    made = encoder(context_tokens=8, source="{{ raise_exception('rendered') }}")
    assert refused(made, user("") * 8).code == "context_length_exceeded"


def test_text_prompt_never_yields_control_tokens() -> None:
    assert encoder().text(CONTROL).tokens == [*CONTROL.encode()]


def test_empty_prompt_becomes_the_beginning_of_text() -> None:
    assert encoder().text("").tokens == [256]


@pytest.mark.parametrize("token", [-1, 1000])
def test_token_out_of_the_vocabulary_is_refused(token: int) -> None:
    with pytest.raises(RequestError, match="between 0 and 999"):
        encoder().tokens([1, token])


def test_prompt_of_an_answer_that_broke_off_ends_before_its_last_word() -> None:
    prompt = encoder().text("Say: ", "Hello wor")
    assert (prompt.tokens, prompt.seam.kept, prompt.seam.owed) == ([*b"Say: Hello"], b"Hello", b" wor")


def test_seam_is_that_of_the_answer_without_the_tokenizers_space() -> None:
    made = PromptEncoder(SpacingVocabulary(), template("x"), LiteralMarks(()), 500)
    seams = [made.tokens([65], delivered).seam for delivered in ("Hello wor", "Hel")]
    assert [(seam.delivered, seam.kept, seam.due) for seam in seams] == [
        (b"Hello wor", b"Hello", b" wor"),
        (b"Hel", b"", b"Hel"),
    ]


def test_prompt_without_an_answer_has_no_seam() -> None:
    assert encoder().text("Say: ").seam == NO_SEAM


def test_without_a_template_chatml_is_used() -> None:
    rendered = template().render(user("hi"))
    assert rendered == "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"


def test_template_that_refuses_gives_a_request_error() -> None:
    with pytest.raises(RequestError, match="roles must alternate"):
        template("{{ raise_exception('roles must alternate') }}").render(user("hi"))


@pytest.mark.parametrize(
    "attack",
    ["{{ ''.__class__.__mro__[1] }}", "{{ messages.append(1) }}", "{{ raise_exception.__globals__['jinja2'] }}"],
)
def test_template_cannot_leave_the_sandbox(attack: str) -> None:
    with pytest.raises(RequestError, match=r"unsafe|not safely callable"):
        template(attack).render(user("hi"))


def test_message_text_is_never_template_source() -> None:
    assert template("{{ messages[0].content }}").render(user("{{ 1 + 1 }}")) == "{{ 1 + 1 }}"


def test_template_has_the_functions_that_models_expect() -> None:
    rendered = template("{{ strftime_now('%Y') }} {{ {'a': '<é>'} | tojson }} {{ bos_token }}").render([])
    assert rendered == '2026 {"a":"<é>"} <s>'


def test_broken_template_is_a_load_error() -> None:
    with pytest.raises(LoadFailed, match="does not compile"):
        template("{% if %}")
