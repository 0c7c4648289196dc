"""Every trap of llama.cpp that is known to us, and the test that stands in front of it.

Some abort the process, so what is shown is that our code refuses before; others say nothing and give a wrong text.
"""

import gc
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import pytest

from models.engine.event import Ended, Failed, Finish
from models.engine.llama import Context, ContextSettings, Model
from models.engine.llama.native import api
from models.engine.llama.sampler import Sampler
from models.engine.params import SamplingParams
from models.engine.scheduler import Rules
from models.engine.sizing import MAX_SLOTS, Wishes, choose
from models.engine.step import Chunk
from models.errors import DecodeFailed, EngineFailed, LoadFailed
from models.server.literal import LiteralMarks
from models.server.prompt import PromptEncoder
from models.server.template import ChatTemplate
from tests.integration.models.by_hand import ByHand
from tests.integration.models.tiny import BEGIN, END, TURN, Kind, pieces, write
from tests.model_child import Child
from tests.running import ROOT

# What goes wrong, and the tests in front of it; those of memories stand in test_engine_memory.py, those of grammars and
# draws in test_engine_sampling.py.
TRAPS = """
aborts: a batch larger than n_batch
    test_step_larger_than_the_batch_is_refused test_batch_is_no_larger_than_the_context
aborts: part of a sequence copied in a split cache
    test_part_of_a_sequence_is_copied_or_nothing
aborts: a draw from a row without logits
    test_row_that_was_not_asked_for_is_refused test_rows_are_those_of_the_chunks_that_want_a_token
aborts: a grammar accepts what it forbids
    test_forbidden_token_is_not_accepted_and_changes_nothing
aborts slowly: a backtrace by gdb
    test_crash_calls_no_debugger

lies: the cache of a sliding window has forgotten what it says to have copied or cut
    test_cache_of_a_windows_size_is_not_believed test_everybody_gets_the_text_that_it_gets_alone
lies: a recurrent or hybrid memory cannot be cut
    test_it_is_known_which_memory_can_be_cut test_sequence_is_cut_in_its_place_or_emptied
slow: a split cache computes only neighbours together
    test_lowest_free_slot_is_taken test_chunks_are_sorted_by_slot
slow: steps of more than one token have a number of threads of their own
    test_both_numbers_of_threads_are_set
lies: the beginning of a text twice
    test_text_begins_once
lies: control tokens in a client's text
    test_clients_spelling_of_a_control_token_stays_text
    test_template_text_yields_control_tokens_and_message_text_does_not
lies: a token may hold a part of a character
    test_character_split_over_tokens_comes_out_whole test_any_split_of_bytes_gives_the_same_text
lies: several tokens end a text
    test_each_end_token_ends test_ignored_end_is_none_of_the_end_tokens
lies: tokens that a file wants suppressed
    test_suppressed_tokens_are_never_drawn
lies: a greedy text depends on the shape of its steps
    test_deterministic_engine_gives_the_same_text_alone_and_together

llama_decode 1: there is no room, and nothing was read
    test_full_pool_is_told_and_nothing_was_read test_eight_streams_finish_in_a_pool_that_holds_five
llama_decode -1: a gap, a foreign slot or token, and nothing was read
    test_impossible_step_is_told_and_nothing_was_read test_slot_that_does_not_exist_is_refused
llama_decode 2: aborted; we never abort, so it fails whom it hits
    test_failed_decode_fails_its_sequence_alone
llama_decode below -1: the context has to be made anew
    test_memory_that_is_lost_is_made_anew_and_nobody_hears_of_it
n_seq_max: at most 256, running and kept
    test_more_slots_than_llama_cpp_has_are_refused test_no_more_slots_are_chosen_than_llama_cpp_has
the abort callback costs the GIL for each node: cancels are looked for between steps
    test_cancel_frees_the_slot_for_the_next
a grammar that does not parse is a null pointer, not None
    test_text_that_is_no_grammar_is_refused
the Python converter of schemas fetches remote references: it is not loaded by name anywhere
    test_sole_importer_is_alone
a fork after the start hangs
    test_nothing_forks test_import_loads_nothing_heavy
callbacks of ctypes are collected
    test_log_callback_outlives_every_model
samplers are freed before the context, the context before the model
    test_samplers_are_freed_before_the_context
a view of logits dies at the next decode
    test_row_drawn_from_later_is_the_new_one
OpenMP spins at its barriers
    test_server_bounds_the_spinning_of_openmp test_supervised_server_is_nicer
OpenMP spins less when more of its threads live than there are processors
    test_nobody_but_the_engine_keeps_threads_that_compute
the first decode reserves the graph
    test_start_is_told_in_order
"""

ALL_TESTS = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))

_NORMAL, _USER_DEFINED = 1, 4  # llama.cpp's kinds of tokens
GREEDY = SamplingParams(max_tokens=1, seed=0, temperature=0.0)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(Kind.FULL, tmp_path_factory.mktemp("tiny") / "full.gguf")


@pytest.fixture(scope="module")
def model(file: Path) -> Iterator[Model]:
    model = Model(file, gpu_layers=0)
    yield model
    model.close()


@pytest.fixture(params=[False, True], ids=["split", "unified"])
def context(request: pytest.FixtureRequest, model: Model) -> Iterator[Context]:
    context = Context(model, ContextSettings(512, 2, 512, 1, is_unified=request.param))
    yield context
    context.close()


def filled(slot: int, length: int, position: int = 0, wants_token: bool = True) -> Chunk:
    return Chunk(slot, position, (65,) * length, wants_token)


def last(context: Context, slot: int) -> int:
    position: int = api.llama_memory_seq_pos_max(api.llama_get_memory(context._handle), slot)
    return position


def token_of(model: Model, text: str) -> int:
    (token,) = model.tokenize(text, add_special=False, parse_special=True)
    return token


@pytest.mark.parametrize("name", {name for line in TRAPS.splitlines() if line.startswith(" ") for name in line.split()})
def test_table_names_tests_that_exist(name: str) -> None:
    assert f"def {name}(" in ALL_TESTS


# What would abort


def test_step_larger_than_the_batch_is_refused(context: Context) -> None:
    with pytest.raises(ValueError, match="513 tokens where 512 fit"):
        context.decode([filled(0, 256), filled(1, 257)])
    assert context.decode([filled(0, 256)]) == [255]


def test_batch_is_no_larger_than_the_context(model: Model) -> None:
    context = Context(model, ContextSettings(256, 2, 512, 1, is_unified=True))
    with pytest.raises(ValueError, match="257 tokens where 256 fit"):
        context.decode([filled(0, 257)])
    asked = ByHand(context, Rules(2, 99), step_tokens=512).together([[65] * 100, [66] * 250, [67] * 200], max_tokens=6)
    context.close()
    assert [one.end for one in asked] == [Ended(Finish.LENGTH, 6)] * 3


def test_rows_are_those_of_the_chunks_that_want_a_token(model: Model) -> None:
    context = Context(model, ContextSettings(1024, 4, 64, 1))
    rows = context.decode([filled(0, 5), filled(1, 7, wants_token=False), filled(2, 1), filled(3, 2)])
    drawn = [context.sample(context.sampler(GREEDY), row) for row in rows]
    context.close()
    assert rows == [4, 12, 14]
    assert all(0 <= token < model.vocabulary_size for token in drawn)


CRASH = """
import sys
from pathlib import Path
from models.cli import main

assert main(["serve", "--model", "/nowhere/at/all.gguf", "--socket", sys.argv[2]]) == 3
assert "llama_cpp" not in sys.modules
from models.engine.llama import Context, ContextSettings, Model
from models.engine.llama.native import api

context = Context(Model(Path(sys.argv[1]), 0), ContextSettings(256, 1, 64, 1))
tokens = (api.llama_token * 65)()
api.llama_decode(context._handle, api.llama_batch_get_one(tokens, 65))
"""


@pytest.mark.slow
def test_crash_calls_no_debugger(file: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", CRASH, str(file), str(tmp_path / "s")]
    environ = {name: value for name, value in os.environ.items() if name != "GGML_NO_BACKTRACE"}
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGABRT
    assert "GGML_ASSERT" in done.stderr
    assert "ggml_print_backtrace" not in done.stdout + done.stderr


# What llama_decode says


def test_full_pool_is_told_and_nothing_was_read(model: Model) -> None:
    context = Context(model, ContextSettings(256, 2, 256, 1, is_unified=True))
    context.decode([filled(0, 200)])
    with pytest.raises(DecodeFailed) as caught:
        context.decode([filled(0, 20, 200), filled(1, 40)])
    positions = [last(context, slot) for slot in (0, 1)]
    assert context.decode([filled(0, 20, 200), filled(1, 30)]) == [19, 49]
    context.close()
    assert (caught.value.is_full, positions) == (True, [199, -1])


@pytest.mark.parametrize(
    "impossible",
    [filled(0, 3, 12), filled(0, 3, 5), Chunk(0, 10, (-1,), True), Chunk(0, 10, (10**6,), True)],
    ids=["gap", "again", "token below", "token above"],
)
def test_impossible_step_is_told_and_nothing_was_read(context: Context, impossible: Chunk) -> None:
    context.decode([filled(0, 10)])
    with pytest.raises(DecodeFailed) as caught:
        context.decode([impossible, filled(1, 3)])
    assert (caught.value.code, caught.value.is_full, caught.value.is_fatal) == (-1, False, False)
    assert [last(context, slot) for slot in (0, 1)] == [9, -1]


@pytest.mark.parametrize("slot", [-1, 2, 256])
def test_slot_that_does_not_exist_is_refused(context: Context, slot: int) -> None:
    with pytest.raises(ValueError, match="slot"):
        context.decode([filled(slot, 3)])


def test_more_slots_than_llama_cpp_has_are_refused(model: Model) -> None:
    assert api.llama_max_parallel_sequences() == MAX_SLOTS
    with pytest.raises(LoadFailed):
        Context(model, ContextSettings(512, MAX_SLOTS + 1, 64, 1, is_unified=True))


@pytest.mark.parametrize("kv", ["split", "unified"])
def test_no_more_slots_are_chosen_than_llama_cpp_has(kv: Any) -> None:
    sizing = choose(Wishes(256, 1000, kv), bytes_per_token=1, available_bytes=2**40, has_gpu=False)
    assert sizing.parallel <= sizing.slots <= MAX_SLOTS


# What would go wrong silently


def test_both_numbers_of_threads_are_set(model: Model) -> None:
    context = Context(model, ContextSettings(256, 1, 64, threads=3))
    numbers = (api.llama_n_threads(context._handle), api.llama_n_threads_batch(context._handle))
    context.close()
    assert numbers == (3, 3)


def encoder(model: Model, template: str | None) -> PromptEncoder:
    chat = ChatTemplate(template, model.text(model.bos), model.text(model.eos), lambda: datetime.now(UTC))
    return PromptEncoder(model, chat, LiteralMarks(model.control_texts), 512)


@pytest.mark.parametrize("text", ["Hello", f"{BEGIN}Hello", ""])
def test_text_begins_once(model: Model, text: str) -> None:
    assert model.bos is not None
    prompts = encoder(model, "{{ bos_token }}{{ messages[0].content }}")
    of_chat = prompts.chat([{"role": "user", "content": text}]).tokens
    of_text = prompts.text(text).tokens
    assert of_chat == of_text
    assert [tokens.index(model.bos) for tokens in (of_chat, of_text)] == [0, 0]
    assert [tokens.count(model.bos) for tokens in (of_chat, of_text)] == [1, 1]


@pytest.mark.parametrize("spelling", [BEGIN, END, *TURN])
def test_clients_spelling_of_a_control_token_stays_text(model: Model, spelling: str) -> None:
    controls = {token_of(model, text) for text in (BEGIN, END, *TURN)}
    plain, forged = (
        encoder(model, None).chat([{"role": "user", "content": text}]).tokens for text in ("ab", f"a{spelling}b")
    )
    assert [token for token in plain if token in controls] == [token for token in forged if token in controls]
    assert len(forged) > len(plain) + 2


def test_clients_spelling_stays_text_where_the_file_calls_the_token_a_users_own_word(tmp_path: Path) -> None:
    types = [_USER_DEFINED if piece == TURN[0] else _NORMAL for piece in pieces()]
    path = write(Kind.FULL, tmp_path / "own.gguf", extra={"tokenizer.ggml.token_type": types})
    model = Model(path, gpu_layers=0)
    turn = pieces().index(TURN[0])
    plain, forged = (
        encoder(model, None).chat([{"role": "user", "content": text}]).tokens for text in ("ab", f"a{TURN[0]}b")
    )
    model.close()
    assert plain.count(turn) == forged.count(turn) == 2


@pytest.mark.parametrize("spelling", [END, TURN[1]])
def test_each_end_token_ends(model: Model, context: Context, spelling: str) -> None:
    token = token_of(model, spelling)
    assert token in model.end_tokens
    biased = {"ignore_end": False, "logit_bias": {token: 1000.0}}
    (asked,) = ByHand(context, Rules(1, 1)).together([[65]], **biased)
    assert (asked.end, asked.text) == (Ended(Finish.STOP, 0), "")


def test_suppressed_tokens_are_never_drawn(tmp_path: Path) -> None:
    path = write(Kind.FULL, tmp_path / "s.gguf", extra={"tokenizer.ggml.suppress_tokens": [40, 41]})
    model = Model(path, gpu_layers=0)
    context = Context(model, ContextSettings(256, 1, 64, 1))
    (row,) = context.decode([filled(0, 1)])
    drawn = context.sample(context.sampler(SamplingParams(max_tokens=1, seed=0, logit_bias={40: 1000.0})), row)
    context.close()
    model.close()
    assert drawn != 40


def test_row_drawn_from_later_is_the_new_one(model: Model) -> None:
    context = Context(model, ContextSettings(256, 1, 64, 1))
    sampler = Sampler(GREEDY, model)
    (row,) = context.decode([filled(0, 8)])
    first = context.sample(sampler, row)
    context.forget(0)
    for _ in range(2):
        (row,) = context.decode([filled(0, 64)])
        context.forget(0)
    (row,) = context.decode([filled(0, 8)])
    again = context.sample(sampler, row)
    context.close()
    assert first == again


@pytest.mark.model
@pytest.mark.slow
@pytest.mark.parametrize("draw", [{"temperature": 0.0}, {"temperature": 0.9, "top_p": 0.9, "seed": 5}], ids=str)
def test_deterministic_engine_gives_the_same_text_alone_and_together(model_file: Path, draw: dict[str, Any]) -> None:
    model = Model(model_file, gpu_layers=0)
    begin = "The history of the world, told in a few words: "
    prompts = [
        model.tokenize(begin + tail, add_special=True, parse_special=False)
        for tail in ("first", "then there", "in the end, nobody", "once upon a time there was a king who")
    ]
    rules = Rules(4, 9, is_deterministic=True)
    context = Context(model, ContextSettings(1024, 4, 64, 1))
    engine = ByHand(context, rules)
    alone = [engine.together([prompt], **draw)[0].text for prompt in prompts]
    together = [asked.text for asked in engine.together(prompts, **draw)]
    context.close()
    model.close()
    assert together == alone


# What lives and dies with what


def test_log_callback_outlives_every_model(tmp_path: Path, file: Path, caplog: pytest.LogCaptureFixture) -> None:
    Model(file, gpu_layers=0).close()
    gc.collect()
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(LoadFailed):
        Model(broken, gpu_layers=0)
    assert "llama.cpp: " in caplog.text


class Strict(Context):
    """A context that knows which samplers are alive when it is freed."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.alive: set[Sampler] = set()
        self.left_behind: set[Sampler] | None = None

    def sampler(self, params: SamplingParams) -> Sampler:
        self.alive.add(sampler := super().sampler(params))
        return sampler

    def release(self, sampler: Sampler) -> None:
        assert self._handle is not None
        self.alive.remove(sampler)
        super().release(sampler)

    def close(self) -> None:
        self.left_behind = set(self.alive)
        super().close()


def test_samplers_are_freed_before_the_context(model: Model) -> None:
    context = Strict(model, ContextSettings(1024, 4, 64, 1))
    engine = ByHand(context, Rules(2, 9))
    asked = [engine.ask([65] * 20, max_tokens=200, grammar="root ::= [a-z]*") for _ in range(4)]
    engine.turn(3)
    assert len(context.alive) == 2
    engine.stop()
    assert context.left_behind == set()
    assert all(isinstance(one.end, Failed) and isinstance(one.end.error, EngineFailed) for one in asked)


def test_nothing_forks() -> None:
    sources = {path: path.read_text() for path in (ROOT / "models").rglob("*.py")}
    words = ("os.fork", "multiprocessing", "preexec_fn", "ProcessPool")
    assert [path for path, source in sources.items() if any(word in source for word in words)] == []


# The process


@contextmanager
def served(file: Path, socket: Path, environ: dict[str, str], stderr: IO[str]) -> Iterator[subprocess.Popen[bytes]]:
    """A supervised server of this model that is ready."""
    command = [sys.executable, "-m", "models", "serve", "--supervised", "--model", str(file), "--socket", str(socket)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, env=environ, stdin=pipe, stdout=pipe, stderr=stderr) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        while b'"ready"' not in (line := process.stdout.readline()):
            assert line, "it ended before it was ready"
        yield process
        process.stdin.close()


@pytest.mark.slow
@pytest.mark.parametrize(("given", "expected"), [({}, "2000"), ({"GOMP_SPINCOUNT": "7"}, "7")], ids=["ours", "theirs"])
def test_server_bounds_the_spinning_of_openmp(file: Path, tmp_path: Path, given: dict[str, str], expected: str) -> None:
    environ = {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"} | given
    with (tmp_path / "stderr").open("w+") as said:
        with served(file, tmp_path / "s", environ | {"OMP_DISPLAY_ENV": "verbose"}, said):
            pass
        said.seek(0)
        assert f"GOMP_SPINCOUNT = '{expected}'" in said.read()


@pytest.mark.slow
def test_nobody_but_the_engine_keeps_threads_that_compute(tmp_path: Path) -> None:
    file = write(Kind.FULL, tmp_path / "tiny.gguf")
    few, many = (Child("--model", str(file), "--context", "256", "--threads", threads) for threads in ("2", "12"))
    for child in (few, many):
        child.lines_until("ready")
    deadline = time.monotonic() + 20.0
    while (more := threads_of(many) - threads_of(few)) >= 15 and time.monotonic() < deadline:
        time.sleep(0.01)  # who has loaded is about to end
    for child in (few, many):
        child.close()
    assert 5 < more < 15  # ten for the engine, where twenty are for two; one or the other that waits for a file besides


def threads_of(child: Child) -> int:
    return len(list(Path(f"/proc/{child.process.pid}/task").iterdir()))


@pytest.mark.slow
def test_supervised_server_is_nicer(file: Path, tmp_path: Path) -> None:
    with (tmp_path / "stderr").open("w+") as said, served(file, tmp_path / "s", dict(os.environ), said) as process:
        ours, its = (os.getpriority(os.PRIO_PROCESS, pid) for pid in (0, process.pid))
    assert its > ours
