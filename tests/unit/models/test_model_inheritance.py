"""What need not be read twice."""

from models.engine.pace import Pace
from models.engine.params import SamplingParams
from models.engine.prefix import MIN_TOKENS
from models.engine.scheduler import Rules, Scheduler
from models.engine.sequence import Sequence
from models.engine.step import Chunk, Layout

HEAD = list(range(100, 140))


def sequence(number: int, tokens: list[int], client: str = "a", *, is_priming: bool = False) -> Sequence:
    params = SamplingParams(max_tokens=50, seed=0)
    return Sequence(number, client, list(tokens), params, lambda event: None, is_priming=is_priming)


class Desk:
    """A scheduler and a model that can do all that is asked of it, unless it `refuses`."""

    def __init__(self, layout: Layout, rules: Rules | None = None, step_tokens: int = 512) -> None:
        self.scheduler = Scheduler(rules or Rules(layout.slots, 99), layout, Pace(step_tokens))
        self.scheduler.pace.observe(0, 512, 0.01)  # fast enough to read all that it may
        self.refuses = False
        self.handed: list[tuple[int, int, int]] = []

    def ask(self, *sequences: Sequence) -> None:
        for each in sequences:
            self.scheduler.submit(each)

    def step(self) -> list[Chunk]:
        """One turn; everybody who gets a token gets a 1."""
        self.scheduler.admit()
        self.scheduler.take_emptied()
        for heir, found in self.scheduler.inherit():
            self.handed.append((found.slot, heir.slot, found.tokens))
            self.scheduler.inherited(heir, found, is_done=not self.refuses)
        chunks = self.scheduler.plan()
        for each in self.scheduler.read(chunks):
            each.tokens.append(1)
        return chunks


def pool(slots: int = 8) -> Layout:
    return Layout(slots, pool_tokens=4096)


def test_prefix_of_a_burst_is_read_by_the_first_and_taken_over_by_the_others() -> None:
    desk = Desk(pool())
    desk.ask(*(sequence(number, [*HEAD, number]) for number in range(3)))
    first = desk.step()
    second = desk.step()
    assert [(chunk.slot, len(chunk.tokens)) for chunk in first] == [(0, 41)]
    assert sorted(desk.handed) == [(0, 1, 40), (0, 2, 40)]
    assert [len(chunk.tokens) for chunk in second] == [1, 1, 1]


def test_longest_common_beginning_is_chosen() -> None:
    desk = Desk(pool())
    desk.ask(sequence(0, HEAD[:20]), sequence(1, [*HEAD[:30], 1]), sequence(2, [*HEAD[:30], 2, 2]))
    for _ in range(3):
        desk.step()
    assert desk.handed == [(0, 1, 20), (1, 2, 30)]


def test_few_tokens_are_read_twice() -> None:
    desk = Desk(pool())
    desk.ask(sequence(0, [*HEAD[: MIN_TOKENS - 1], 1]), sequence(1, [*HEAD[: MIN_TOKENS - 1], 2]))
    assert [len(chunk.tokens) for chunk in desk.step()] == [MIN_TOKENS, MIN_TOKENS]


def test_last_token_of_a_prompt_is_always_read() -> None:
    desk = Desk(pool())
    desk.ask(sequence(0, HEAD), sequence(1, HEAD))
    desk.step()
    desk.step()
    assert desk.handed == [(0, 1, len(HEAD) - 1)]


def test_clients_have_nothing_in_common() -> None:
    desk = Desk(pool())
    desk.ask(sequence(0, HEAD, "a"), sequence(1, HEAD, "b"))
    assert [len(chunk.tokens) for chunk in desk.step()] == [40, 40]


def test_clients_share_where_the_operator_says_so() -> None:
    desk = Desk(pool(), Rules(8, 99, shares_between_clients=True))
    desk.ask(sequence(0, HEAD, "a"), sequence(1, HEAD, "b"))
    assert [len(chunk.tokens) for chunk in desk.step()] == [40]


def test_deterministic_sequences_share_nothing_and_keep_nothing() -> None:
    desk = Desk(Layout(8), Rules(8, 99, is_deterministic=True))
    desk.ask(sequence(0, HEAD), sequence(1, HEAD))
    assert [len(chunk.tokens) for _ in range(2) for chunk in desk.step()] == [40, 40]
    desk.scheduler.remove(0)
    assert desk.scheduler.kept_tokens == 0


def test_what_is_kept_serves_the_next() -> None:
    desk = Desk(pool())
    desk.ask(sequence(0, [*HEAD, 5]))
    desk.step()
    desk.scheduler.remove(0)
    desk.ask(sequence(1, [*HEAD, 6]))
    (chunk,) = desk.step()
    assert (desk.handed, chunk.position) == ([(0, 1, 40)], 40)
    assert desk.scheduler.kept_tokens == 41


def test_dialogue_goes_on_in_its_slot_and_is_kept_once() -> None:
    desk = Desk(pool())
    desk.ask(sequence(0, HEAD))
    desk.step()
    desk.scheduler.remove(0)
    desk.ask(sequence(1, [*HEAD, 1, 2, 3]))
    (chunk,) = desk.step()
    assert (desk.handed, chunk.slot, chunk.position) == ([(0, 0, 40)], 0, 40)
    assert desk.scheduler.kept_tokens == 0


def test_refusing_memory_means_that_all_is_read() -> None:
    desk = Desk(pool())
    desk.refuses = True
    desk.ask(sequence(0, [*HEAD, 0]), sequence(1, [*HEAD, 1]))
    desk.step()
    assert [(chunk.position, len(chunk.tokens)) for chunk in desk.step()] == [(41, 1), (0, 41)]


def test_reader_that_leaves_half_way_has_read_for_its_heir() -> None:
    desk = Desk(pool(), step_tokens=30)
    desk.ask(sequence(0, [*HEAD, 0]), sequence(1, [*HEAD, 1]))
    desk.step()
    desk.scheduler.remove(0)
    (chunk,) = desk.step()
    assert (desk.handed, chunk.position) == ([(0, 1, 30)], 30)


def test_reader_that_leaves_at_once_leaves_the_reading_to_its_heir() -> None:
    desk = Desk(pool())
    desk.ask(sequence(0, [*HEAD, 0]), sequence(1, [*HEAD, 1]), sequence(2, [*HEAD, 2]))
    desk.scheduler.admit()
    desk.scheduler.remove(0)
    (chunk,) = desk.step()
    assert (chunk.position, len(chunk.tokens)) == (0, 41)


def test_state_that_cannot_be_cut_is_handed_over_on_the_way() -> None:
    desk = Desk(Layout(8, can_cut=False))
    desk.ask(sequence(0, [*HEAD, 0, 0, 0]), sequence(1, [*HEAD, 1]))
    reads = [[len(chunk.tokens) for chunk in desk.step()] for _ in range(2)]
    assert reads == [[40], [3, 1]]
    assert desk.handed == [(0, 1, 40)]


def test_state_that_cannot_be_cut_serves_as_a_whole_or_not_at_all() -> None:
    desk = Desk(Layout(8, pool_tokens=4096, can_cut=False))
    desk.ask(sequence(0, HEAD))
    desk.step()
    desk.scheduler.remove(0)
    desk.ask(sequence(1, [*HEAD[:30], 1]))
    assert [chunk.position for chunk in desk.step()] == [0]
    desk.ask(sequence(2, [*HEAD, 1]))
    assert [chunk.position for chunk in desk.step()] == [40, 31]
    assert desk.handed == [(0, 0, 40)]


def test_late_heir_of_a_state_that_is_past_the_point_reads_for_itself() -> None:
    desk = Desk(Layout(8, can_cut=False))
    desk.ask(sequence(0, [*HEAD, *HEAD]))
    desk.step()
    desk.ask(sequence(1, [*HEAD, 1]))
    assert [(chunk.position, len(chunk.tokens)) for chunk in desk.step()] == [(80, 1), (0, 41)]


# Reading ahead


def test_prompt_is_read_ahead_only_while_there_is_nothing_else() -> None:
    desk = Desk(pool())
    desk.ask(sequence(0, [1, 2, 3]), sequence(1, HEAD, is_priming=True))
    assert [len(chunk.tokens) for chunk in desk.step()] == [3]
    desk.scheduler.remove(0)
    assert [len(chunk.tokens) for chunk in desk.step()] == [40]


def test_prompt_read_ahead_wants_no_token_and_is_done_when_read() -> None:
    desk = Desk(pool())
    desk.ask(sequence(1, HEAD, is_priming=True))
    (chunk,) = desk.step()
    assert not chunk.wants_token
    assert [each.id for each in desk.scheduler.primed()] == [1]


def test_request_interrupts_the_reading_ahead_and_nothing_is_lost() -> None:
    desk = Desk(pool(), step_tokens=25)
    desk.ask(sequence(1, HEAD, is_priming=True))
    desk.step()
    desk.ask(sequence(2, [*HEAD, 2]))
    (chunk,) = desk.step()
    assert (chunk.position, chunk.wants_token) == (25, True)
    desk.scheduler.remove(2)
    desk.step()
    assert [each.id for each in desk.scheduler.primed()] == [1]


def test_tokens_that_were_inherited_are_told_as_cached() -> None:
    desk = Desk(pool())
    first, second = sequence(0, [*HEAD, 1]), sequence(1, [*HEAD, 2])
    desk.ask(first, second)
    desk.step()
    desk.step()
    assert (first.cached_tokens, second.cached_tokens) == (0, 40)


def test_prefix_that_could_not_be_handed_over_is_not_cached() -> None:
    desk = Desk(pool())
    desk.refuses = True
    first, second = sequence(0, [*HEAD, 1]), sequence(1, [*HEAD, 2])
    desk.ask(first, second)
    desk.step()
    desk.step()
    assert second.cached_tokens == 0


def test_what_a_preempted_sequence_inherits_of_itself_is_not_cached() -> None:
    heir = sequence(0, [*HEAD, 1])
    heir.inherit(20)
    heir.tokens.append(1)
    heir.forget()
    heir.inherit(40)
    assert heir.cached_tokens == 20


def test_prompt_that_lost_what_it_inherited_before_its_first_word_is_not_cached() -> None:
    heir = sequence(0, [*HEAD, 1])
    heir.inherit(20)
    heir.forget()
    assert heir.cached_tokens == 0
