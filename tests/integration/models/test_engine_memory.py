"""Whatever memory a model has, company changes nobody's text.

The tiny models' contexts are exact (no flash attention), so that the shape of a step does not show in the last digits:
texts are compared letter by letter, and a difference is a fault.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from models.engine.event import Ended, Finish
from models.engine.llama import Context, ContextSettings, Model
from models.engine.llama.native import api
from models.engine.params import SamplingParams
from models.engine.scheduler import Rules
from models.engine.step import Chunk
from models.errors import DecodeFailed
from tests.integration.models.by_hand import Asked, ByHand
from tests.integration.models.tiny import Kind, write

PARALLEL = 8
CELLS = 512
STEP = 64
HEAD = "In the beginning there was a question that nobody could answer, and another one came along the way of it. " * 2
TAILS = ["What is one?", "What is two?", "What is two", "And?", "Zero, one and the other one"]
PROMPTS = [*(HEAD + tail for tail in TAILS), HEAD, HEAD * 2 + "twice", "Something else"]


@pytest.fixture(scope="module", params=list(Kind), ids=[kind.name.lower() for kind in Kind])
def kind(request: pytest.FixtureRequest) -> Kind:
    return Kind(request.param)


@pytest.fixture(scope="module")
def model(kind: Kind, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    model = Model(write(kind, tmp_path_factory.mktemp("tiny") / f"{kind.value}.gguf"), gpu_layers=0)
    yield model
    model.close()


@pytest.fixture(scope="module")
def alone(model: Model) -> list[str]:
    """What each prompt gets in a context of its own."""
    return [answered_alone(model, prompt) for prompt in prompts_of(model)]


@pytest.fixture(params=[False, True], ids=["split", "unified"])
def is_unified(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def context(model: Model, is_unified: bool) -> Iterator[Context]:
    context = context_of(model, is_unified)
    yield context
    context.close()


@pytest.fixture
def engine(context: Context) -> ByHand:
    return ByHand(context, Rules(PARALLEL, 99), STEP)


def context_of(model: Model, is_unified: bool = False) -> Context:
    return Context(model, settings(is_unified))


def settings(is_unified: bool = False) -> ContextSettings:
    slots = 2 * PARALLEL if is_unified else PARALLEL
    return ContextSettings(CELLS * PARALLEL, slots, STEP, 1, is_unified)


def answered_alone(model: Model, prompt: list[int]) -> str:
    context = context_of(model)
    (asked,) = ByHand(context, Rules(1, 1), STEP).together([prompt])
    context.close()
    return asked.text


def prompts_of(model: Model) -> list[list[int]]:
    return [model.tokenize(prompt, add_special=True, parse_special=False) for prompt in PROMPTS]


def read(context: Context, slot: int, tokens: list[int], position: int = 0) -> None:
    for start in range(0, len(tokens), STEP):
        part = tuple(tokens[start : start + STEP])
        context.decode([Chunk(slot, position + start, part, wants_token=False)])


def first_and_last(context: Context, slot: int) -> tuple[int, int]:
    memory = api.llama_get_memory(context._handle)
    return api.llama_memory_seq_pos_min(memory, slot), api.llama_memory_seq_pos_max(memory, slot)


EMPTY = (-1, -1)


# What the models are good for


def test_text_depends_on_what_stands_at_the_beginning(model: Model, alone: list[str]) -> None:
    prompt = prompts_of(model)[0]
    assert answered_alone(model, prompt[64:]) != alone[0]
    assert len(set(alone)) == len(PROMPTS)


# The same text in every company


def arriving_together(engine: ByHand, prompts: list[list[int]]) -> list[Asked]:
    return engine.together(prompts)


def one_after_another(engine: ByHand, prompts: list[list[int]]) -> list[Asked]:
    return [asked for prompt in prompts for asked in engine.together([prompt])]


def dropping_in(engine: ByHand, prompts: list[list[int]]) -> list[Asked]:
    asked = []
    for prompt in prompts:
        asked.append(engine.ask(prompt))
        engine.turn(3)
    engine.run()
    return asked


def twice(engine: ByHand, prompts: list[list[int]]) -> list[Asked]:
    engine.together(prompts)
    return engine.together(prompts)


def with_some_who_leave(engine: ByHand, prompts: list[list[int]]) -> list[Asked]:
    leaving = [engine.ask(prompt) for prompt in prompts[::2]]
    engine.turn(2)
    for one in leaving:
        engine.cancel(one)
    return engine.together(prompts)


@pytest.mark.slow
@pytest.mark.parametrize("arrive", [arriving_together, one_after_another, dropping_in, twice, with_some_who_leave])
def test_everybody_gets_the_text_that_it_gets_alone(
    model: Model,
    engine: ByHand,
    alone: list[str],
    arrive: Callable[[ByHand, list[list[int]]], list[Asked]],
) -> None:
    assert [asked.text for asked in arrive(engine, prompts_of(model))] == alone


def test_prefix_of_a_burst_is_read_once(kind: Kind, model: Model, engine: ByHand) -> None:
    prompts = prompts_of(model)[: len(TAILS)]
    engine.together(prompts)
    done = engine.snapshot
    assert done.inherited_tokens > 0.7 * (len(prompts) - 1) * len(prompts[0])
    assert done.read_tokens + done.inherited_tokens == pytest.approx(sum(map(len, prompts)), abs=PARALLEL)


def test_dialogue_goes_on_where_it_was(model: Model, engine: ByHand) -> None:
    first = model.tokenize(HEAD, add_special=True, parse_special=False)
    said = [token for token in first if token]
    (asked,) = engine.together([said], max_tokens=1)
    before = engine.snapshot.read_tokens
    (again,) = engine.together([said + model.tokenize("And?", add_special=False, parse_special=False)])
    assert engine.snapshot.read_tokens - before <= len("And?") + 1
    assert isinstance(asked.end, Ended)
    assert again.text == answered_alone(model, said + model.tokenize("And?", add_special=False, parse_special=False))


@pytest.mark.slow
def test_pool_that_is_too_small_costs_time_and_changes_no_text(kind: Kind, model: Model, alone: list[str]) -> None:
    context = Context(model, ContextSettings(CELLS, 2 * PARALLEL, STEP, 1, is_unified=True))
    engine = ByHand(context, Rules(PARALLEL, 99), STEP)
    asked = [engine.ask(prompt, client=str(number)) for number, prompt in enumerate(prompts_of(model))]
    engine.run()
    context.close()
    assert [one.text for one in asked] == alone


class Forgetful(Context):
    """A context whose third step is fatal."""

    steps = 0

    def decode(self, chunks: list[Chunk]) -> list[int]:
        rows = super().decode(chunks)
        self.steps += 1
        if self.steps == 12:
            raise DecodeFailed(-3)
        return rows


def test_memory_that_is_lost_is_made_anew_and_nobody_hears_of_it(
    model: Model, is_unified: bool, alone: list[str]
) -> None:
    context = Forgetful(model, settings(is_unified))
    asked = ByHand(context, Rules(PARALLEL, 99), STEP).together(prompts_of(model))
    context.close()
    assert context.steps > 12
    assert [one.text for one in asked] == alone


# What the memory can do, and what it must not pretend


def test_it_is_known_which_memory_can_be_cut(kind: Kind, context: Context) -> None:
    assert context.layout.can_cut is (kind in {Kind.FULL, Kind.WINDOW})


def test_whole_sequence_is_copied(context: Context) -> None:
    read(context, 0, [65] * 100)
    assert context.inherit(0, 3, 100)
    assert first_and_last(context, 3)[1] == first_and_last(context, 0)[1] == 99


def test_part_of_a_sequence_is_copied_or_nothing(context: Context) -> None:
    read(context, 0, [65] * 100)
    is_done = context.inherit(0, 3, 60)
    assert is_done is context.layout.can_cut
    assert first_and_last(context, 3) == ((0, 59) if is_done else EMPTY)
    assert first_and_last(context, 0)[1] == 99


def test_sequence_is_cut_in_its_place_or_emptied(context: Context) -> None:
    read(context, 2, [65] * 100)
    is_done = context.inherit(2, 2, 60)
    assert is_done is context.layout.can_cut
    assert first_and_last(context, 2) == ((0, 59) if is_done else EMPTY)


def test_copy_takes_the_place_of_what_was_there(context: Context) -> None:
    read(context, 0, [65] * 40)
    read(context, 1, [66] * 80)
    assert context.inherit(0, 1, 40)
    assert first_and_last(context, 1)[1] == 39


@pytest.mark.parametrize("source", [0, 3])
def test_nothing_comes_of_an_empty_slot(context: Context, source: int) -> None:
    assert not context.inherit(source, 3, 20)
    assert first_and_last(context, 3) == EMPTY


def test_more_than_was_read_cannot_be_inherited(context: Context) -> None:
    read(context, 0, [65] * 30)
    assert not context.inherit(0, 3, 31)
    assert first_and_last(context, 3) == EMPTY


def test_copy_is_read_on_like_the_original(model: Model, context: Context) -> None:
    tokens = prompts_of(model)[0]
    read(context, 0, tokens[:-1])
    assert context.inherit(0, 1, len(tokens) - 1)
    last = (tokens[-1],)
    rows = context.decode([Chunk(slot, len(tokens) - 1, last, wants_token=True) for slot in (0, 1)])
    greedy = SamplingParams(max_tokens=1, seed=0, temperature=0.0)
    assert len({context.sample(context.sampler(greedy), row) for row in rows}) == 1


@pytest.mark.parametrize("length", [20, 500])
def test_cache_of_a_windows_size_is_not_believed(tmp_path: Path, is_unified: bool, length: int) -> None:
    # With swa_full off llama.cpp says yes to each of these calls, and holds the window's tokens or none at all.
    model = Model(write(Kind.WINDOW, tmp_path / "window.gguf"), gpu_layers=0)
    context = context_of(model, is_unified)
    whole, context._handle = context._handle, window_only(model, is_unified)
    read(context, 0, [65] * 1000)
    answers = [context.inherit(0, 1, length), context.inherit(0, 0, length)]
    held = [first_and_last(context, slot) for slot in (0, 1)]
    api.llama_free(whole)
    context.close()
    model.close()
    assert (answers, held) == ([False, False], [EMPTY, EMPTY])


def window_only(model: Model, is_unified: bool) -> object:
    params = api.llama_context_default_params()
    params.n_ctx, params.n_seq_max, params.kv_unified = 2 * CELLS * PARALLEL, PARALLEL, is_unified
    params.n_batch = params.n_ubatch = STEP
    params.swa_full = False
    return api.llama_init_from_model(model.handle, params)


# The real model


@pytest.mark.model
@pytest.mark.slow
@pytest.mark.timeout(240)
def test_eight_streams_finish_in_a_pool_that_holds_five(model_file: Path) -> None:
    model = Model(model_file, gpu_layers=0)
    context = Context(model, ContextSettings(768, 16, 256, 1, is_unified=True))
    engine = ByHand(context, Rules(8, 99), 256)
    prompts = [model.tokenize(f"{number} " * 30, add_special=True, parse_special=False)[:60] for number in range(8)]
    asked = [engine.ask(prompt, client=str(number), max_tokens=80) for number, prompt in enumerate(prompts)]
    engine.run()
    preempted = engine.snapshot.preempted
    context.close()
    model.close()
    assert [one.end for one in asked] == [Ended(Finish.LENGTH, 80)] * 8
    assert preempted > 0
