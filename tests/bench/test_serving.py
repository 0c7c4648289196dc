import json
import os
import select
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from math import isnan, nan
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.bench.serving import __main__ as command
from tests.bench.serving import burst, interruption, options, report, server
from tests.bench.serving.access import Access
from tests.bench.serving.answer import Answer
from tests.bench.serving.burst import Load, Result
from tests.bench.serving.client import Question, base_url
from tests.bench.serving.figures import Figures, percentile, summary
from tests.bench.serving.interruption import Pause
from tests.bench.serving.plan import Case, Mode, Plan, Turn, overflow
from tests.bench.serving.prompt import PROBES, Kind, Scale, Size, conversations
from tests.bench.serving.server import Server
from tests.bench.target import NotServing
from tests.fakes.behaviour import Behaviour
from tests.fakes.upstream import FaultUpstream
from tests.running import ROOT

SIZE = Size(system_words=30, user_words=10)
SHARED_WARM = Case(Mode.WARM, Kind.SHARED, 3)
FAKE = f"{sys.executable} -m tests.fakes.upstream --port {{port}}"

EVENTS = b"".join(
    b"data: " + json.dumps(event, ensure_ascii=False).encode() + b"\n\n"
    for event in (
        {"choices": [{"delta": {"role": "assistant", "content": ""}, "finish_reason": None}]},
        {"choices": [{"delta": {"content": "café"}, "finish_reason": None}], "usage": None},
        {"choices": [{"delta": {"reasoning_content": "hm"}}]},
        {"choices": [{"delta": {}, "finish_reason": "length"}]},
        {"choices": [], "usage": {"prompt_tokens": 220, "completion_tokens": 64, "total_tokens": 284}},
    )
)


def answer(sent_at: float, *content_at: float, ended_at: float = nan, fault: str | None = None) -> Answer:
    return Answer(sent_at, ended_at, list(content_at), finish_reason=None if fault else "length", fault=fault)


def figures(tokens_per_second: float = 100.0, failed: int = 0, ttft: float = 1.0) -> Figures:
    faults = {"status 500": failed} if failed else {}
    return Figures(4, failed, 1.0, tokens_per_second, ttft, ttft, 0.02, 0.04, 220, 64, faults)


def result(name: str, measured: Figures, case: Case = SHARED_WARM, round_number: int = 0) -> Result:
    return Result(name, round_number, case, measured)


def texts(kind: Kind, key: str = "key", part: str = "part", count: int = 64) -> list[tuple[str, str]]:
    return [(system["content"], user["content"]) for system, user in conversations(kind, SIZE, count, key, part)]


def load(key: str = "seed") -> Load:
    return Load(key, SIZE, output_tokens=4)


@pytest.fixture
def silent() -> Iterator[list[str]]:
    """Where it is told who was left out; a test that does not expect anybody to be gets to know."""
    said: list[str] = []
    yield said
    assert said == []


def test_shared_prompts_have_the_system_message_in_common_and_nothing_else() -> None:
    made = texts(Kind.SHARED)
    assert len({system for system, _ in made}) == 1
    assert len({user.split()[0] for _, user in made}) == len(made)


def test_disjoint_prompts_differ_from_the_first_word_on() -> None:
    made = texts(Kind.DISJOINT)
    assert len({system.split()[0] for system, _ in made}) == len(made)


def test_parts_of_one_key_share_the_system_message_only() -> None:
    before, measured = texts(Kind.SHARED, part="before"), texts(Kind.SHARED, part="measured")
    assert before[0][0] == measured[0][0]
    assert not {user for _, user in before} & {user for _, user in measured}


def test_seed_makes_the_prompts() -> None:
    assert texts(Kind.SHARED, "one") == texts(Kind.SHARED, "one")
    assert not set(texts(Kind.SHARED, "one")) & set(texts(Kind.SHARED, "two"))


def test_prompts_have_as_many_words_as_asked_for() -> None:
    system, user = texts(Kind.DISJOINT)[0]
    assert (len(system.split()), len(user.split())) == (30, 10)


@given(st.floats(0, 60), st.floats(0.8, 3.0))
def test_measured_scale_gives_prompts_of_the_wanted_length(overhead: float, per_word: float) -> None:
    def tokens(size: Size) -> int:
        return round(overhead + per_word * (size.system_words + size.user_words))

    scale = Scale.measured([tokens(size) for size in PROBES])
    assert tokens(scale.size(220, 150)) == pytest.approx(220, abs=2 * per_word + 2)


@pytest.mark.parametrize("tokens", [(0, 220), (30, 30), (40, 30)])
def test_scale_is_not_made_of_nonsense(tokens: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="had"):
        Scale.measured(tokens)


@given(st.lists(st.integers(0, len(EVENTS)), max_size=8))
def test_events_are_read_however_they_are_split(cuts: list[int]) -> None:
    received = Answer(sent_at=0.0)
    places = sorted({0, *cuts, len(EVENTS)})
    for begin, end in pairwise(places):
        received.feed(EVENTS[begin:end], 1.0)
    received.end(2.0)
    assert received.is_whole
    assert (received.content_at, received.prompt_tokens, received.output_tokens) == ([1.0, 1.0], 220, 64)


def test_first_content_is_not_the_role() -> None:
    received = Answer(sent_at=1.0)
    first, second, third, *_ = EVENTS.split(b"\n\n")
    for number, event in enumerate((first, second, third)):
        received.feed(event + b"\n\n", 2.0 + number)
    assert received.ttft_seconds == 2.0
    assert received.gaps_seconds == [1.0]


def test_pieces_are_counted_where_there_is_no_usage() -> None:
    received = Answer(sent_at=0.0)
    received.feed(EVENTS[: EVENTS.index(b'data: {"choices": [], "usage"')], 1.0)
    assert received.output_tokens == 2


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"data: [DONE]\n\n", "without a finish_reason"),
        (b'data: {"error": {"message": "no room"}}\n\n', "no room"),
        (b"data: <html>\n\n", "not an event"),
        (b"", "without a finish_reason"),
    ],
)
def test_what_is_no_whole_answer_says_why(data: bytes, fault: str) -> None:
    received = Answer(sent_at=0.0)
    received.feed(data, 1.0)
    received.end(1.0)
    assert not received.is_whole
    assert fault in (received.fault or "")


def test_pause_that_began_before_counts_if_it_ended_after() -> None:
    assert answer(0.0, 1.0, 5.0, 5.5).longest_pause_seconds(since=2.0) == 4.0
    assert answer(0.0, 1.0, 5.0, 5.5).longest_pause_seconds(since=5.0) == 0.5
    assert isnan(answer(0.0, 1.0).longest_pause_seconds(since=0.0))


@pytest.mark.parametrize(("percent", "value"), [(0, 1.0), (50, 2.5), (99, 3.97), (100, 4.0)])
def test_percentiles_lie_between_the_nearest_values(percent: float, value: float) -> None:
    assert percentile([4.0, nan, 1.0, 3.0, 2.0], percent) == pytest.approx(value)


def test_no_values_have_no_percentile() -> None:
    assert isnan(percentile([], 50))


def test_tokens_count_from_the_first_request_to_the_last_end() -> None:
    burst_figures = Figures.of([answer(0.0, 1.0, 2.0, ended_at=2.0), answer(1.0, 3.0, 4.0, ended_at=4.0)])
    assert burst_figures.tokens_per_second == 1.0
    assert burst_figures.ttft_p50_seconds == 1.5


def test_answers_that_are_not_whole_are_failures_and_nothing_else() -> None:
    burst_figures = Figures.of([answer(0.0, 1.0, ended_at=1.0), answer(0.0, 9.0, ended_at=4.0, fault="cut")])
    assert (burst_figures.requests, burst_figures.failed, burst_figures.faults) == (2, 1, {"cut": 1})
    assert (burst_figures.tokens_per_second, burst_figures.ttft_p99_seconds) == (0.25, 1.0)


def test_burst_that_failed_altogether_has_no_figures() -> None:
    assert isnan(Figures.of([answer(0.0, ended_at=1.0, fault="refused")]).ttft_p50_seconds)


def test_summary_takes_medians_and_adds_failures() -> None:
    median = summary([figures(90), figures(100, failed=1), figures(500, failed=2), figures(nan)])
    assert median.tokens_per_second == 100
    assert (median.requests, median.failed, median.faults) == (16, 3, {"status 500": 3})


SERVERS = (Server("ours", command="serve"), Server("theirs", url="http://there/v1"))


def turns(*modes: Mode, rounds: int = 1) -> list[Turn]:
    return list(Plan(SERVERS, modes, list(Kind), [1, 8], rounds).turns())


def test_servers_take_turns_in_alternating_order() -> None:
    names = [turn.server.name for turn in turns(Mode.WARM, rounds=2)]
    assert names == ["ours", "theirs"] * 2 + ["theirs", "ours"] * 2


def test_what_runs_already_is_not_measured_cold() -> None:
    assert {turn.server.name for turn in turns(Mode.COLD)} == {"ours"}


def test_every_cold_burst_has_a_process_of_its_own() -> None:
    assert [len(turn.cases) for turn in turns(Mode.COLD)] == [1, 1, 1, 1]


def test_warm_bursts_of_one_size_share_a_process() -> None:
    assert turns(Mode.WARM)[0].cases == (Case(Mode.WARM, Kind.SHARED, 1), Case(Mode.WARM, Kind.DISJOINT, 1))


def test_overflow_shares_no_beginning() -> None:
    cases = {case for turn in overflow(SERVERS, 1).turns() for case in turn.cases}
    assert cases == {Case(Mode.WARM, Kind.DISJOINT, 8)}


def test_servers_keep_their_order() -> None:
    parsed = options.parse(["--launch", "a=run {port}", "--server", "b=http://h:1", "--launch", "c=run"])
    assert [(each.name, each.is_launched) for each in parsed.servers] == [("a", True), ("b", False), ("c", True)]


@pytest.mark.parametrize(
    ("flags", "modes"),
    [([], [Mode.COLD, Mode.WARM]), (["--warm"], [Mode.WARM]), (["--cold", "--warm"], [Mode.COLD, Mode.WARM])],
)
def test_modes_are_both_unless_one_is_chosen(flags: list[str], modes: list[Mode]) -> None:
    assert options.parse(["--launch", "a=run", *flags]).modes == modes


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "name a server"),
        (["--server", "a=ftp://there"], "not an http URL"),
        (["--launch", "run"], "not NAME="),
        (["--launch", "a=x", "--launch", "a=y"], "two servers have one name"),
        (["--server", "a=http://there", "--cold"], "needs --launch"),
    ],
)
def test_senseless_command_lines_are_refused(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        options.parse(arguments)
    assert complaint in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://h:8000", "http://h:8000/v1"),
        ("http://h:8000/", "http://h:8000/v1"),
        ("http://h:8000/v1/", "http://h:8000/v1"),
        ("https://h/openai/v1", "https://h/openai/v1"),
    ],
)
def test_version_may_be_left_out_of_a_url(text: str, url: str) -> None:
    assert base_url(text) == url


def test_command_is_filled_in_and_may_contain_json() -> None:
    launched = Server("a", command="""serve --port={port} -np {clients} --extra '{"a": 1}'""")
    assert launched.arguments(8080, 32) == ["serve", "--port=8080", "-np", "32", "--extra", '{"a": 1}']


def test_table_compares_with_the_first_server() -> None:
    results = [result("ours", figures(150.0)), result("theirs", figures(100.0, failed=1, ttft=4.0))]
    (section,) = report.bursts(results, ["ours", "theirs"])
    assert section.title == "Warm, shared prompts"
    assert "| 3 | ours | 150.0 | 1.000 | 1.000 | 20.0 | 40.0 | 220 | 64 | 0 of 4 |" in section.table
    assert "| 3 | theirs | 100.0 (0.67 x) | 4.000 (4.00 x) |" in section.table
    assert section.table.endswith("| 1 of 4 |")


def test_every_mode_and_kind_has_a_table_with_all_sizes() -> None:
    cases = [Case(Mode.COLD, Kind.SHARED, 1), Case(Mode.COLD, Kind.SHARED, 8), Case(Mode.COLD, Kind.DISJOINT, 1)]
    sections = report.bursts([result("ours", figures(), case) for case in cases], ["ours"])
    assert [len(section.table.splitlines()) for section in sections] == [4, 3]


def test_what_was_not_measured_is_left_blank() -> None:
    (section,) = report.bursts([result("theirs", figures(nan, failed=4))], ["ours", "theirs"])
    assert "| 3 | theirs | - | 1.000 |" in section.table


def test_line_says_what_went_wrong() -> None:
    assert report.line(result("ours", figures(failed=2))).endswith("2 of 4 failed: status 500")


def test_pauses_are_compared_unless_the_prompt_was_refused() -> None:
    def pause(longest: float, fault: str | None = None) -> Pause:
        return Pause(longest, 0.05, 9.0, 5_000, fault)

    section = report.interruptions(
        {"ours": [pause(1.0), pause(3.0), pause(2.0)], "theirs": [pause(8.0)], "small": [pause(0.1, "status 400")]}
    )
    ours, theirs, small = section.table.splitlines()[2:]
    assert ours == "| ours | 2.00 | 50.0 | 9.00 | 5,000 | none |"
    assert theirs.startswith("| theirs | 8.00 (4.00 x) |")
    assert small == "| small | - | - | - | 5,000 | status 400 |"


def test_what_a_server_says_does_not_break_the_table() -> None:
    section = report.interruptions({"ours": [Pause(nan, nan, nan, 0, "status 500: a|b\nc")]})
    assert section.table.splitlines()[-1] == "| ours | - | - | - | - | status 500: a/b c |"


def test_json_has_every_round() -> None:
    results = [result("ours", figures(speed), round_number=number) for number, speed in enumerate((1.0, nan))]
    document = json.loads(report.as_json({"seed": "1"}, report.bursts(results, ["ours"])))
    (section,) = document["sections"]
    assert [entry["figures"]["tokens_per_second"] for entry in section["data"]] == [1.0, None]
    assert section["data"][0]["case"] == {"mode": "warm", "kind": "shared", "clients": 3}


LONG_ANSWER = replace(answer(10.0, 14.0, 14.1), ended_at=14.2)


def test_longest_pause_of_any_stream_counts() -> None:
    streams = [answer(0.0, 9.9, 10.5, 14.5), answer(0.0, 9.9, 14.0, 14.5)]
    pause = Pause.of(streams, LONG_ANSWER)
    assert (pause.longest_pause_seconds, pause.fault) == (pytest.approx(4.1), None)
    assert pause.long_ttft_seconds == 4.0


@pytest.mark.parametrize(
    ("stream", "long", "fault"),
    [
        (answer(0.0, 9.0, 12.0, ended_at=12.0), LONG_ANSWER, "1 of 1 streams ended before"),
        (answer(0.0, 9.0, ended_at=12.0, fault="killed"), LONG_ANSWER, "1 of 1 streams: killed"),
        (answer(0.0, 9.0, 12.0), answer(10.0, ended_at=10.1, fault="status 400"), "the long prompt: status 400"),
    ],
)
def test_pause_that_tells_nothing_says_why(stream: Answer, long: Answer, fault: str) -> None:
    assert fault in (Pause.of([stream], long).fault or "")


def at(upstream: FaultUpstream) -> Server:
    return Server("fake", url=upstream.base_url)


async def measured(upstream: FaultUpstream, case: Case, said: list[str], asked: Load | None = None) -> list[Result]:
    turn = Turn(at(upstream), 0, (case,))
    return [each async for each in burst.measure(Access("m"), asked or load(), [turn], said.append)]


async def test_burst_is_measured(silent: list[str]) -> None:
    async with FaultUpstream(gap_seconds=0.002) as upstream:
        (only,) = await measured(upstream, SHARED_WARM, silent)
    assert (only.server, only.figures.requests, only.figures.failed) == ("fake", 3, 0)
    assert (only.figures.prompt_tokens, only.figures.output_tokens) == (40, 4)
    assert only.figures.ttft_p50_seconds > 0
    assert only.figures.gap_p50_seconds > 0


async def test_warm_burst_follows_one_with_the_same_beginning(silent: list[str]) -> None:
    async with FaultUpstream() as upstream:
        await measured(upstream, SHARED_WARM, silent)
        messages = [request.fields()["messages"] for request in upstream.requests[1:]]
    assert len(messages) == 6
    assert len({system["content"] for system, _ in messages}) == 1
    assert len({user["content"] for _, user in messages}) == 6


async def test_cold_burst_follows_one_unrelated_request(silent: list[str]) -> None:
    async with FaultUpstream() as upstream:
        await measured(upstream, replace(SHARED_WARM, mode=Mode.COLD), silent)
        asked = [request.fields() for request in upstream.requests]
    assert [len(fields["messages"]) for fields in asked] == [1, 2, 2, 2]
    assert {(fields["max_tokens"], fields["ignore_eos"], fields["temperature"]) for fields in asked[1:]} == {
        (4, True, 0)
    }


async def test_clients_may_ask_several_times(silent: list[str]) -> None:
    async with FaultUpstream() as upstream:
        asked = replace(load(), requests=2)
        (only,) = await measured(upstream, Case(Mode.WARM, Kind.DISJOINT, 3), silent, asked)
    assert only.figures.requests == 6


@pytest.mark.parametrize(
    ("behaviour", "fault"),
    [
        (Behaviour.ERROR_500, "status 500"),
        (Behaviour.CUT, "ClientPayloadError"),
        (Behaviour.NO_FINISH, "without a finish_reason"),
        (Behaviour.CLOSE, "ServerDisconnected"),
    ],
)
async def test_failures_are_counted_and_named(behaviour: Behaviour, fault: str, silent: list[str]) -> None:
    async with FaultUpstream() as upstream:
        upstream.script(Behaviour.OK, behaviour)
        (only,) = await measured(upstream, Case(Mode.WARM, Kind.DISJOINT, 3), silent)
    assert (only.figures.requests, only.figures.failed) == (3, 1)
    assert fault in next(iter(only.figures.faults))


async def test_server_that_does_not_answer_is_left_out() -> None:
    said: list[str] = []
    async with FaultUpstream(behaviour=Behaviour.ERROR_503) as upstream:
        assert await measured(upstream, SHARED_WARM, said) == []
    assert "fake does not answer: status 503" in said[0]


async def test_model_is_the_first_that_the_server_lists() -> None:
    async with FaultUpstream() as upstream, Access().to(at(upstream), 1) as caller:
        assert caller.model == "gpt-4o"


async def test_scale_is_measured() -> None:
    async with FaultUpstream() as upstream:
        scale = await Access("m").scale(at(upstream), "seed")
    assert scale == Scale(overhead_tokens=0, tokens_per_word=1)


async def test_streams_are_watched_and_cut_off() -> None:
    words = ("word ",) * 500
    async with FaultUpstream(words=words, gap_seconds=0.002) as upstream:
        async with Access("m").to(at(upstream), interruption.CLIENTS) as caller:
            pause = await interruption.measure(caller, Scale(0, 1), 300, "seed")
        await upstream.wait_for(lambda fake: fake.hung_up == interruption.STREAMS)
    assert (pause.fault, pause.long_prompt_tokens) == (None, 300)
    assert pause.longest_pause_seconds > 0


async def test_refused_long_prompt_is_a_fault() -> None:
    words = ("word ",) * 200
    async with FaultUpstream(words=words, gap_seconds=0.002) as upstream:
        upstream.script(*[Behaviour.OK] * 5, Behaviour.CONTEXT_LENGTH_400)
        async with Access("m").to(at(upstream), interruption.CLIENTS) as caller:
            pause = await interruption.measure(caller, Scale(0, 1), 300, "seed")
    assert (pause.fault or "").startswith("the long prompt: status 400")


async def test_answers_can_be_waited_for_too_long() -> None:
    async with FaultUpstream(behaviour=Behaviour.HANG) as upstream:
        upstream.script(Behaviour.OK)
        async with Access("m", answer_timeout_seconds=0.2).to(at(upstream), 1) as caller:
            late = await caller.ask(Question([{"role": "user", "content": "Hello"}], 4))
    assert "Timeout" in (late.fault or "")


@pytest.fixture
def in_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


@pytest.mark.slow
@pytest.mark.usefixtures("in_the_root")
async def test_launched_server_and_its_children_are_gone_afterwards(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    script = f"{FAKE} & echo $! > {pid_file}; wait"
    async with server.running(Server("a", command=f"sh -c '{script}'"), 1, 20.0):
        child = os.pidfd_open(int(pid_file.read_text()))
    try:
        ended, *_ = select.select([child], [], [], 10)
        assert ended == [child]
    finally:
        os.close(child)


@pytest.mark.parametrize(
    ("command_line", "complaint"),
    [
        ("no-such-program-anywhere", "cannot be started"),
        ("sh -c 'echo no model; exit 3'", "status 3:\n  no model"),
        pytest.param("sleep 60", "did not serve within 0 s", marks=pytest.mark.slow),
    ],
)
async def test_server_that_does_not_come_up_says_why(command_line: str, complaint: str) -> None:
    timeout_seconds = 0.3 if "sleep" in command_line else 20.0
    with pytest.raises(NotServing, match=complaint):
        async with server.running(Server("a", command=command_line), 1, timeout_seconds):
            pass


@pytest.mark.slow
@pytest.mark.usefixtures("in_the_root")
def test_whole_benchmark_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page, data = tmp_path / "page.md", tmp_path / "data.json"
    arguments = ["--launch", f"one={FAKE}", "--launch", f"two={FAKE} --gap-seconds 0.01", "--clients", "2"]
    arguments += ["--rounds", "1", "--seed", "s", "--report", str(page), "--json", str(data)]
    assert command.main(arguments) == 0
    text = page.read_text()
    assert [line for line in text.splitlines() if line.startswith("## ")] == [
        f"## {mode}, {kind} prompts" for mode in ("Cold", "Warm") for kind in ("shared", "disjoint")
    ]
    assert "| 2 | two |" in text
    assert len(json.loads(data.read_bytes())["sections"]) == 4


@pytest.mark.slow
@pytest.mark.usefixtures("in_the_root")
def test_strains_take_the_place_of_bursts(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--launch", f"one={FAKE}", "--rounds", "1", "--long", "--overflow"]
    assert command.main(arguments) == 1  # six words are too short a stream for anything to come in between
    printed = capsys.readouterr().out
    assert "streams ended before the long prompt was through" in printed
    assert "| 8 | one |" in printed
    assert "Cold" not in [line[3:7] for line in printed.splitlines() if line.startswith("## ")]


def test_nothing_to_measure_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--launch", "one=no-such-program-anywhere"]) == 2
    assert "one cannot be started" in capsys.readouterr().err
