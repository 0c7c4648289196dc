import pytest
from scripted import Rig, ScriptedBackend

from models.engine.event import Ended, Event, Failed, Finish, Piece, Started
from models.engine.params import SamplingParams
from models.engine.step import Chunk
from models.errors import DecodeFailed, EngineFailed, Overloaded


def text(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, Piece))


def failure(events: list[Event]) -> Exception:
    (event,) = [event for event in events if isinstance(event, Failed)]
    return event.error


def test_sequence_starts_speaks_and_ends_once() -> None:
    rig = Rig()
    _, events = rig.submit()
    rig.turn(3)
    assert events == [Started(), Piece("o", drawn=1), Piece("k", drawn=2), Ended(Finish.STOP, 2)]


def test_prompt_is_read_in_chunks_and_token_wanted_after_the_last() -> None:
    rig = Rig()
    rig.submit(prompt=10)
    rig.turn(3)
    chunks = [step[0] for step in rig.backend.steps]
    assert [(len(c.tokens), c.position, c.wants_token) for c in chunks] == [(4, 0, False), (4, 4, False), (2, 8, True)]


def test_decode_continues_where_the_prompt_ended() -> None:
    rig = Rig()
    rig.submit(prompt=3)
    rig.turn(2)
    assert rig.backend.steps[1][0].position == 3
    assert rig.backend.steps[1][0].tokens == (ord("o"),)


def test_max_tokens_ends_with_length_and_lets_out_held_text() -> None:
    rig = Rig(ScriptedBackend("abcdef"))
    _, events = rig.submit(max_tokens=3, stop=("cX",))
    rig.turn(3)
    assert text(events) == "abc"
    assert events[-1] == Ended(Finish.LENGTH, 3)


def test_stop_string_across_tokens_is_withheld() -> None:
    rig = Rig(ScriptedBackend("one END two"))
    _, events = rig.submit(stop=(" END",))
    rig.turn(7)
    assert text(events) == "one"
    assert events[-1] == Ended(Finish.STOP, 7)


def test_cancel_frees_the_slot_for_the_next() -> None:
    rig = Rig(ScriptedBackend("x" * 50))
    first, events = rig.submit()
    rig.turn(2)
    _, others = rig.submit()
    rig.engine.cancel(first)
    rig.turn(1)
    assert events[-1] == Ended(Finish.CANCELLED, 2)
    assert others[0] == Started()
    assert rig.backend.forgotten == [0]


def test_cancelling_an_ended_sequence_is_ignored() -> None:
    rig = Rig()
    first, events = rig.submit()
    rig.turn(3)
    rig.engine.cancel(first)
    rig.turn(1)
    assert len(events) == 4


@pytest.mark.parametrize("code", [1, -1, 2])
def test_failed_decode_fails_its_sequence_alone(code: int) -> None:
    rig = Rig(ScriptedBackend(codes=iter([code])))
    _, victim = rig.submit()
    _, other = rig.submit()
    rig.turn(4)
    assert isinstance(failure(victim), DecodeFailed)
    assert text(other) == "ok"
    assert rig.backend.rebuilt == 0


def test_fatal_decode_rebuilds_the_context_and_nobody_hears_of_it() -> None:
    rig = Rig(ScriptedBackend(codes=iter([0, -3])))
    _, hit = rig.submit()
    rig.turn(4)
    assert rig.backend.rebuilt == 1
    assert text(hit) == "ok"
    assert rig.backend.steps[2][0].position == 0


def test_sequence_under_which_the_context_broke_twice_fails() -> None:
    rig = Rig(ScriptedBackend(codes=iter([-3, -3])))
    _, suspect = rig.submit()
    _, other = rig.submit()
    rig.turn(5)
    assert isinstance(failure(suspect), DecodeFailed)
    assert text(other) == "ok"


def test_full_pool_makes_the_youngest_wait_and_fails_nobody() -> None:
    rig = Rig(ScriptedBackend(codes=iter([0, 1])), parallel=2)
    _, elder = rig.submit()
    _, younger = rig.submit()
    rig.turn(4)
    assert text(elder) == text(younger) == "ok"
    assert rig.engine.snapshot().preempted == 1


def test_request_that_cannot_begin_in_time_is_told_at_once() -> None:
    rig = Rig(ScriptedBackend("x" * 99))
    rig.submit()
    rig.turn(1)
    rig.seconds_per_step = 1.0
    rig.turn(3)
    _, hopeless = rig.submit(deadline_at=rig.now + 30.0)
    rig.turn(1)
    error = failure(hopeless)
    assert isinstance(error, Overloaded)
    assert error.retry_after_seconds > 30


def test_full_queue_refuses_with_overloaded() -> None:
    rig = Rig(queue_limit=1)
    rig.submit()
    rig.turn(1)
    rig.submit()
    _, refused = rig.submit()
    rig.turn(1)
    error = failure(refused)
    assert isinstance(error, Overloaded)
    assert error.retry_after_seconds > 0


def test_sequence_that_waits_past_its_deadline_is_refused() -> None:
    rig = Rig(ScriptedBackend("x" * 50))
    rig.submit()
    _, late = rig.submit(deadline_at=5.0)
    rig.turn(1)
    rig.now = 5.0
    rig.turn(1)
    assert isinstance(failure(late), Overloaded)
    assert Started() not in late


def test_running_sequence_outlives_its_deadline() -> None:
    rig = Rig()
    _, events = rig.submit(deadline_at=1.0)
    rig.turn(1)
    rig.now = 2.0
    rig.turn(2)
    assert events[-1] == Ended(Finish.STOP, 2)


def test_every_sampler_is_freed() -> None:
    rig = Rig(ScriptedBackend(codes=iter([0, 1])))
    for _ in range(3):
        rig.submit()
    rig.turn(8)
    assert rig.backend.samplers == 0


def test_unforeseen_error_fails_everybody_and_is_reported() -> None:
    class Broken(ScriptedBackend):
        def piece(self, token: int) -> bytes:
            raise RuntimeError("unforeseen")

    rig = Rig(Broken())
    _, running = rig.submit()
    _, waiting = rig.submit()
    rig.engine.start()
    assert rig.engine.stop(timeout=10)
    assert isinstance(failure(running), EngineFailed)
    assert isinstance(failure(waiting), EngineFailed)
    assert rig.crashes == 1


def test_submit_after_the_end_is_refused_at_once() -> None:
    rig = Rig()
    rig.engine.start()
    assert rig.engine.stop(timeout=10)
    with pytest.raises(EngineFailed):
        rig.engine.submit([1], SamplingParams(max_tokens=1, seed=0), lambda event: None)
    assert rig.backend.is_closed


def test_prompt_read_in_part_and_then_given_up_leaves_nothing_behind() -> None:
    rig = Rig(ScriptedBackend("x" * 50), queue_limit=1)
    rig.engine.prime([65] * 10)
    rig.turn(1)
    rig.submit()
    rig.turn(1)
    assert rig.backend.samplers == 2
    rig.engine.prime([66] * 10)
    rig.turn(1)
    assert rig.backend.samplers == 1


def test_snapshot_counts_running_and_queued() -> None:
    rig = Rig(ScriptedBackend("x" * 50))
    for _ in range(3):
        rig.submit()
    rig.turn(1)
    busy = rig.engine.snapshot()
    assert (busy.running, busy.queued, busy.step_age_seconds) == (1, 2, 0.0)


def test_snapshot_inside_a_step_tells_its_age() -> None:
    class Slow(ScriptedBackend):
        def decode(self, chunks: list[Chunk]) -> list[int]:
            rig.now += 7.0
            ages.append(rig.engine.snapshot().step_age_seconds)
            return super().decode(chunks)

    ages: list[float] = []
    rig = Rig(Slow())
    rig.submit()
    rig.turn(1)
    assert ages == [7.0]
