"""Drawing with the real model's vocabulary: grammars, seams, seeds. Most rows of logits are made up, some are read."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.engine.drawing import Logits
from models.engine.gbnf import MAX_NESTING, MAX_REPEATED
from models.engine.healing import Healing, roll_back
from models.engine.llama.grammar import Grammar, check_grammar
from models.engine.llama.model import Model
from models.engine.llama.native import Handle, api
from models.engine.llama.sampler import Sampler
from models.engine.params import SamplingParams
from models.errors import DeliveredTextUnfit, GrammarInvalid
from models.server.literal import LiteralMarks
from models.server.prompt import Prompt, PromptEncoder
from models.server.template import ChatTemplate

pytestmark = pytest.mark.model

JSON = r"""
root ::= object
value ::= object | array | string | number | "true" | "false" | "null"
object ::= "{" ws ( string ":" ws value ("," ws string ":" ws value)* )? "}"
array ::= "[" ws ( value ("," ws value)* )? "]" ws
string ::= "\"" ( [^"\\\x7F\x00-\x1F] | "\\" (["\\bfnrt] | "u" [0-9a-fA-F]{4}) )* "\"" ws
number ::= "-"? ([0-9] | [1-9] [0-9]{0,15}) ("." [0-9]+)? ws
ws ::= | " " | "\n" [ \t]{0,20}
"""

TEXTS = {
    "latin": "Hello, wörld: an encyclopædia of naïve façades",
    "cjk": "漢字とひらがな、한국어도 있습니다",
    "emoji": "🇫🇷 👩‍👩‍👧 ok 🫠!",
    "code": "def f(x):\n    return {'a': x**2}\n\n\n",
    "json": '{"name": "Zoë", "legs": [4, 2.5e-3], "ok": true}',
}


@pytest.fixture(scope="module")
def model(model_file: Path) -> Iterator[Model]:
    model = Model(model_file, gpu_layers=0)
    yield model
    model.close()


class Reader:
    """A context that reads one text at a time."""

    def __init__(self, model: Model) -> None:
        params = api.llama_context_default_params()
        params.n_ctx, params.n_threads, params.n_threads_batch = 256, 1, 1
        self.model = model
        self.handle: Handle = api.llama_init_from_model(model.handle, params)

    def read(self, tokens: list[int]) -> int:
        """Returns the row of the last token, the only one with logits."""
        column = (api.llama_token * len(tokens))(*tokens)
        batch = api.llama_batch_get_one(column, len(tokens))
        assert api.llama_decode(self.handle, batch) == 0
        return len(tokens) - 1

    def begin(self, tokens: list[int]) -> int:
        api.llama_memory_clear(api.llama_get_memory(self.handle), True)
        return self.read(tokens)

    def begin_text(self, text: str) -> int:
        return self.begin(tokens_of(self.model, text))

    def write(self, sampler: Sampler, row: int, at_most: int) -> list[int]:
        """What follows, without the end token."""
        tokens: list[int] = []
        while (token := sampler.draw(self.handle, row)) not in self.model.end_tokens and len(tokens) < at_most:
            tokens.append(token)
            row = self.read([token])
        return tokens


@pytest.fixture(scope="module")
def reader(model: Model) -> Iterator[Reader]:
    reader = Reader(model)
    yield reader
    api.llama_free(reader.handle)


def params(**settings: Any) -> SamplingParams:
    return SamplingParams(**{"max_tokens": 99, "seed": 7, **settings})


def noise(model: Model, seed: int) -> Logits:
    """A row in which no token is much likelier than others: what a grammar or a seam does is not the model's merit."""
    return np.random.default_rng(seed).normal(0.0, 3.0, model.vocabulary_size).astype(np.float32)


def tokens_of(model: Model, text: str) -> list[int]:
    return model.tokenize(text, add_special=False, parse_special=False)


def token_of(model: Model, text: str) -> int:
    (token,) = tokens_of(model, text)
    return token


def spelled(model: Model, tokens: list[int]) -> bytes:
    return b"".join(map(model.piece, tokens))


def written(model: Model, settings: dict[str, Any], at_most: int = 200) -> list[int]:
    """Tokens drawn from noise up to an end token."""
    sampler = Sampler(params(**settings), model)
    tokens: list[int] = []
    while (token := sampler.draw_from(noise(model, len(tokens)))) not in model.end_tokens and len(tokens) < at_most:
        tokens.append(token)
    sampler.close()
    return tokens


# Rows and seeds


@pytest.mark.slow
@pytest.mark.parametrize("row", [0, 1, 99, -1])
def test_row_that_was_not_asked_for_is_refused(model: Model, reader: Reader, row: int) -> None:
    assert reader.begin_text("one two three") == 2
    with pytest.raises(ValueError, match="no logits"):
        Sampler(params(), model).draw(reader.handle, row)


@pytest.mark.slow
def test_greedy_takes_what_llama_cpp_takes(model: Model, reader: Reader) -> None:
    row = reader.begin_text("The capital of France is")
    chain = api.llama_sampler_init_greedy()
    expected = api.llama_sampler_sample(chain, reader.handle, row)
    api.llama_sampler_free(chain)
    assert Sampler(params(temperature=0.0), model).draw(reader.handle, row) == expected


@pytest.mark.slow
@pytest.mark.parametrize("settings", [{}, {"top_p": 0.9, "frequency_penalty": 1.0}, {"top_k": 40}, {"grammar": JSON}])
def test_same_seed_on_the_same_rows_gives_the_same_tokens(model: Model, settings: dict[str, Any]) -> None:
    assert written(model, settings, 12) == written(model, settings, 12)


def test_other_seed_gives_other_tokens(model: Model) -> None:
    assert written(model, {"seed": 1}, 12) != written(model, {"seed": 2}, 12)


@pytest.mark.slow
def test_same_seed_gives_the_same_text_of_the_model(model: Model, reader: Reader) -> None:
    texts = []
    for _ in range(2):
        row = reader.begin_text("Once upon a time")
        texts.append(reader.write(Sampler(params(temperature=0.8), model), row, at_most=8))
    assert texts[0] == texts[1]


def test_drawn_tokens_are_penalized_from_then_on(model: Model) -> None:
    sampler = Sampler(params(temperature=0.0, presence_penalty=2.0), model)
    flat = np.zeros(model.vocabulary_size, np.float32)
    flat[1000] = 1.0
    assert [sampler.draw_from(flat) for _ in range(2)] == [1000, 0]


# Ends


def test_ignored_end_is_none_of_the_end_tokens(model: Model) -> None:
    ends = np.zeros(model.vocabulary_size, np.float32)
    ends[list(model.end_tokens)] = 90.0
    sampler = Sampler(params(ignore_end=True), model)
    assert model.end_tokens.isdisjoint(sampler.draw_from(ends) for _ in range(20))


def test_every_end_token_is_permitted_where_the_grammar_may_end_and_nowhere_else(model: Model) -> None:
    grammar = Grammar(model, 'root ::= "yes"')
    ends = np.array(sorted(model.end_tokens))
    before = grammar.permits(ends)
    assert grammar.accept(token_of(model, "yes"))
    assert not before.any()
    assert grammar.permits(ends).all()
    grammar.close()


def test_end_that_is_ignored_comes_all_the_same_where_nothing_else_can(model: Model) -> None:
    assert spelled(model, written(model, {"grammar": 'root ::= "yes"', "ignore_end": True})) == b"yes"


# Grammars


def test_forbidden_token_is_not_accepted_and_changes_nothing(model: Model) -> None:
    grammar = Grammar(model, 'root ::= "yes"')
    refused = [grammar.accept(token) for token in (token_of(model, "no"), *model.end_tokens)]
    assert (any(refused), grammar.accept(token_of(model, "yes"))) == (False, True)
    grammar.close()


def test_control_token_is_no_text_to_a_grammar(model: Model) -> None:
    (control,) = model.tokenize("<|im_start|>", add_special=False, parse_special=True)
    grammar = Grammar(model, "root ::= [^a]*")
    assert not grammar.accept(control)
    grammar.close()


def test_control_token_that_may_open_an_answer_opens_it_once(model: Model) -> None:
    control = model.control_token("<|im_start|>")
    assert control is not None
    settings = {"grammar": 'root ::= "yes"', "logit_bias": {control: 100.0}}
    opened = written(model, settings | {"opening_token": control})
    assert (opened[0], spelled(model, opened)) == (control, b"yes")
    assert opened.count(control) == 1
    assert control not in written(model, settings)


def test_text_that_is_no_control_token_has_none(model: Model) -> None:
    assert (model.control_token("[TOOL_CALLS]"), model.control_token("yes"), model.control_token("")) == (None,) * 3


@pytest.mark.slow
@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("text", ["yes", "漢🇫", '{"a": 1}'])
def test_noise_becomes_what_the_grammar_says(model: Model, text: str, temperature: float) -> None:
    grammar = f"root ::= {json.dumps(text, ensure_ascii=False)}"
    assert spelled(model, written(model, {"grammar": grammar, "temperature": temperature})).decode() == text


@pytest.mark.slow
def test_each_permitted_token_keeps_its_share(model: Model) -> None:
    logits = np.full(model.vocabulary_size, -30.0, np.float32)
    for text, share in {"a": 0.1, "b": 0.05, "c": 0.85}.items():
        logits[token_of(model, text)] = np.log(share)
    counts = Counter[int]()
    for seed in range(600):
        sampler = Sampler(params(seed=seed, grammar="root ::= [ab]"), model)
        counts[sampler.draw_from(logits)] += 1
        sampler.close()
    assert counts[token_of(model, "a")] == pytest.approx(400, abs=40)
    assert counts.total() == counts[token_of(model, "a")] + counts[token_of(model, "b")]


@pytest.mark.slow
def test_model_under_a_grammar_writes_json(model: Model, reader: Reader) -> None:
    row = reader.begin_text('A cat as JSON, like {"name": "Tom", "legs": 4}:\n')
    grammar = r'root ::= "{\"name\": \"" [A-Za-z]{1,12} "\", \"legs\": " [0-9] "}"'
    sampler = Sampler(params(temperature=0.0, grammar=grammar), model)
    cat = json.loads(spelled(model, reader.write(sampler, row, at_most=40)))
    sampler.close()
    assert cat.keys() == {"name", "legs"}


@pytest.mark.parametrize(
    "text",
    [
        "root",
        'root ::= "a',
        'answer ::= "a"',
        'root ::= root "a"',
        "root ::= missing",
        'root ::= "\ud800"',
        'root ::= "a"\0',
        "root ::= " + "(" * 60_000,
        " " * 70_000,
    ],
)
def test_text_that_is_no_grammar_is_refused(model: Model, text: str) -> None:
    with pytest.raises(GrammarInvalid) as refusal:
        check_grammar(model, text)
    assert (refusal.value.status, refusal.value.param, refusal.value.code) == (400, "grammar", "invalid_grammar")


@pytest.mark.parametrize(
    "text",
    [
        JSON,
        "root ::= " + "(" * MAX_NESTING + '"a"' + ")" * MAX_NESTING,
        "root ::= " + '"a"{0,2000} ' * (MAX_REPEATED // 2000),
        "\n".join(["root ::= r0", *(f"r{n} ::= r{n + 1}" for n in range(4000)), 'r4000 ::= "a"']),
    ],
)
def test_grammars_at_the_limits_are_parsed_on_a_threads_stack(model: Model, text: str) -> None:
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(check_grammar, model, text).result() is None


# Seams


@pytest.mark.slow
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_text_cut_anywhere_goes_on_from_where_it_was_cut(model: Model, text: str) -> None:
    for cut in range(1, len(text) + 1):
        delivered = text[:cut].encode()
        prompt = tokens_of(model, text[:cut])
        kept, owed = roll_back(prompt, model.piece, len(prompt))
        tokens = written(model, {"healing": owed, "seed": cut, "ignore_end": True}, at_most=len(owed) + 2)
        healing = Healing(owed)
        emitted = b"".join(healing.feed(model.piece(token)) for token in tokens)
        assert owed
        assert spelled(model, kept + tokens) == delivered + emitted


@pytest.mark.slow
def test_model_finishes_the_word_it_was_cut_in(model: Model, reader: Reader) -> None:
    prompt = tokens_of(model, "The capital of France is Par")
    kept, owed = roll_back(prompt, model.piece, 5)
    row = reader.begin(kept)
    assert model.piece(Sampler(params(temperature=0.0, healing=owed), model).draw(reader.handle, row)) == b" Paris"


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_grammar_chooses_among_what_can_stand_at_the_seam(model: Model, temperature: float) -> None:
    settings = {"grammar": 'root ::= " world" | " wolf"', "healing": b" wor", "temperature": temperature}
    assert spelled(model, written(model, settings)) == b" world"


def test_seam_that_the_grammar_forbids_is_left_open(model: Model) -> None:
    assert spelled(model, written(model, {"grammar": 'root ::= "yes"', "healing": b"no"})) == b"yes"


# Grammars behind a seam

PAIR = r"""
root ::= "{\"a\": \"" [^"\\\x00-\x1F]{1,6} "\", \"b\": " ([0-9]{1,3} | "null") "}"
"""
PAIR_FORM = re.compile(r'{"a": "[^"\\\x00-\x1F]{1,6}", "b": ([0-9]{1,3}|null)}')
PAIRS = {
    "ascii": '{"a": "Tom", "b": 4}',
    "cjk": '{"a": "漢字の猫", "b": 12}',
    "emoji": '{"a": "🇫🇷 👩‍👧", "b": 4}',
}
WORDS = ("yes, always", "yes", "yesterday", "漢字です", "🇫🇷🇫🇮", "\n\nno")
ONE_WORD = "root ::= " + " | ".join(json.dumps(word, ensure_ascii=False) for word in WORDS)


def broken_off(model: Model, prompt: str, delivered: str) -> Prompt:
    template = ChatTemplate(None, "", "", datetime.now)
    return PromptEncoder(model, template, LiteralMarks(()), 256).text(prompt, delivered)


def bound(prompt: Prompt, grammar: str, **settings: Any) -> dict[str, Any]:
    return {"grammar": grammar, "healing": prompt.seam.due, "kept": prompt.seam.kept, **settings}


def new_text(model: Model, prompt: Prompt, tokens: list[int]) -> str:
    healing = Healing(prompt.seam.due)
    return b"".join(healing.feed(model.piece(token)) for token in tokens).decode()


def cuts(text: str) -> Iterator[str]:
    return (text[:end] for end in range(1, len(text) + 1))


@pytest.mark.slow
@pytest.mark.parametrize("text", PAIRS.values(), ids=PAIRS.keys())
def test_noise_behind_any_cut_becomes_what_the_grammar_says(model: Model, text: str) -> None:
    for delivered in cuts(text):
        prompt = broken_off(model, "", delivered)
        tokens = written(model, bound(prompt, PAIR))
        joined = delivered + new_text(model, prompt, tokens)
        assert PAIR_FORM.fullmatch(joined)
        assert json.loads(joined).keys() == {"a", "b"}


@pytest.mark.slow
@pytest.mark.parametrize("text", PAIRS.values(), ids=PAIRS.keys())
def test_model_behind_any_cut_writes_the_rest_of_the_json(model: Model, reader: Reader, text: str) -> None:
    for delivered in cuts(text):
        prompt = broken_off(model, "JSON: ", delivered)
        sampler = Sampler(params(temperature=0.0, **bound(prompt, PAIR)), model)
        tokens = reader.write(sampler, reader.begin(prompt.tokens), at_most=60)
        sampler.close()
        joined = delivered + new_text(model, prompt, tokens)
        assert PAIR_FORM.fullmatch(joined)
        assert json.loads(joined).keys() == {"a", "b"}
        assert spelled(model, prompt.tokens + tokens).decode() == "JSON: " + joined


@pytest.mark.slow
@pytest.mark.parametrize("word", WORDS)
def test_word_cut_anywhere_becomes_one_of_the_words(model: Model, word: str) -> None:
    for delivered in cuts(word):
        prompt = broken_off(model, "", delivered)
        tokens = written(model, bound(prompt, ONE_WORD, temperature=0.0))
        assert delivered + new_text(model, prompt, tokens) in WORDS


@pytest.mark.slow
def test_model_under_a_wide_grammar_finishes_the_word_that_it_was_cut_in(model: Model, reader: Reader) -> None:
    prompt = broken_off(model, "The capital of France", " is Par")
    sampler = Sampler(params(temperature=0.0, **bound(prompt, "root ::= [a-zA-Z ]+")), model)
    assert model.piece(sampler.draw(reader.handle, reader.begin(prompt.tokens))) == b" Paris"
    sampler.close()


@pytest.mark.parametrize("word", ["yes, always", "漢字です", "🇫🇷🇫🇮"])
def test_behind_a_complete_text_nothing_but_the_end_comes(model: Model, word: str) -> None:
    prompt = broken_off(model, "", word)
    assert spelled(model, written(model, bound(prompt, ONE_WORD))) == prompt.seam.due


@pytest.mark.slow
def test_seam_of_one_space_is_drawn_from_what_the_grammar_permits(model: Model) -> None:
    # Most tokens begin with a space, and nearly all of those are forbidden here.
    settings = {"grammar": 'root ::= "a" " ẞ"', "healing": b" ", "kept": b"a", "temperature": 0.0}
    assert spelled(model, written(model, settings)).decode() == " ẞ"


@pytest.mark.parametrize("delivered", ["no", "yes!", "yes, always and", "漢語", "🇫🇷🇩", "\x04", "Yes"])
def test_delivered_text_that_does_not_follow_the_grammar_is_refused(model: Model, delivered: str) -> None:
    with pytest.raises(DeliveredTextUnfit) as refusal:
        check_grammar(model, ONE_WORD, delivered.encode())
    assert (refusal.value.status, refusal.value.param) == (400, "delivered_text")


def test_sampler_is_refused_rather_than_led_through_a_text_that_does_not_fit(model: Model) -> None:
    with pytest.raises(DeliveredTextUnfit):
        Sampler(params(grammar=ONE_WORD, kept=b"no"), model)


def test_text_follows_a_grammar_however_it_is_cut_into_tokens(model: Model) -> None:
    text = PAIRS["emoji"].encode()
    grammar = Grammar(model, PAIR)
    assert all(grammar.advance(text[at : at + 1]) for at in range(len(text)))
    assert grammar.permits(np.array(sorted(model.end_tokens))).all()
    grammar.close()


def test_where_nothing_can_be_drawn_a_grammar_ends(model: Model) -> None:
    sampler = Sampler(params(grammar=JSON), model)
    assert sampler.draw_from(np.full(model.vocabulary_size, -np.inf, np.float32)) in model.end_tokens
    sampler.close()
