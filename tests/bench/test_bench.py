"""The benchmark's own arithmetic and tools; the numbers themselves are nobody's test."""

import json
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import isnan, nan
from pathlib import Path
from shutil import which

import pytest

from tests.bench import __main__ as command
from tests.bench import curves, guard, hotspare, peers, programs, report, rig, target, traffic
from tests.bench.growth import Point, verdict
from tests.bench.hotspare import Size
from tests.bench.load import Driver, Load, Result
from tests.bench.peers import NGINX, PEERS
from tests.bench.process import Cores
from tests.bench.recipe import Recipe, Site
from tests.bench.report import Column
from tests.bench.scenario import FULL, QUICK, Round
from tests.bench.target import Target
from tests.bench.traffic import Pace

needs_compiler = pytest.mark.skipif(which("cc") is None, reason="mock and driver are C programs, and there is no cc")

Answer = Callable[[bytes], Sequence[bytes]]


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compiled once for all tests, and away from what the user's runs use."""
    return tmp_path_factory.mktemp("bench")


@pytest.fixture(scope="session")
def driver(cache: Path) -> Driver:
    return Driver(programs.build("driver", cache / "bin"), Cores.choose().load)


@pytest.fixture(scope="session")
def mock(cache: Path) -> Iterator[Target]:
    with target.mock(programs.build("mock", cache / "bin"), Cores.choose().load) as port:
        yield Target("direct", port)


def result(**fields: float) -> Result:
    nothing = {
        "seconds": 1.0,
        "answered": 0,
        "events": 0,
        "failed": 0,
        "mixed_up": 0,
        "lost_events": 0,
        "unfinished": 0,
    }
    return Result(**nothing | fields)  # type: ignore[arg-type]


def turn(cpu_per_request: float, cpu_per_event: float) -> guard.Turn:
    return guard.Turn(
        result(answered=1, cpu_seconds=cpu_per_request),
        result(events=1, cpu_seconds=cpu_per_event),
    )


@contextmanager
def scripted(answer: Answer) -> Iterator[Target]:
    """A server that answers each request with these pieces of bytes, and ends the connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=_serve, args=(server, answer), daemon=True)
        thread.start()
        yield Target("scripted", server.getsockname()[1])
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def _serve(server: socket.socket, answer: Answer) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with connection:
            for piece in answer(connection.recv(65536)):
                connection.sendall(piece)


def mark(request: bytes, number: int | None = None) -> bytes:
    asked = request[request.index(b'"bench-') + 7 :][:10]
    return b"@%019d-%b" % (1, asked if number is None else b"%010d" % number)


def json_answer(content: bytes, status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 %b\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (status, len(content), content)


def chunked_answer(*chunks: bytes) -> bytes:
    body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in (*chunks, b""))
    return b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nConnection: close\r\n\r\n" + body


ONE_REQUEST = Load(1, 0.0, 0.1, requests=1)


def test_ticket_says_how_the_stream_is_paced() -> None:
    assert b'"user": "bench-0000000000-000100x000050000"' in traffic.request(pace=Pace(100, 50_000))


def test_key_is_none_that_could_be_taken_for_a_ticket() -> None:
    assert traffic.request().count(b"bench-") == 1


@pytest.mark.parametrize("size", [1_000, 10_000_000])
def test_body_has_the_size_asked_for(size: int) -> None:
    assert len(traffic.body(size=size)) == size


def test_streams_are_measured_while_all_of_them_run() -> None:
    load = Load.streams(1_000, Pace(100, 50_000), ramp_seconds=1.0)
    assert load.warm_seconds > 1.0
    assert load.end_seconds == pytest.approx(4.95)


@pytest.mark.parametrize("count", curves.STREAMS)
def test_curve_of_streams_offers_the_same_rate_at_every_size(count: int) -> None:
    pace = curves.streams(count).pace
    assert pace
    assert count * 1e6 / pace.gap_microseconds == 10_000


@pytest.mark.parametrize(
    ("costs", "word"),
    [((20, 21, 26), "flat"), ((40, 20, 21), "flat"), ((1, 9, 90), "at most linear"), ((1, 10, 1_000), "MORE THAN")],
)
def test_growth_is_named_by_its_steepest_part(costs: tuple[float, ...], word: str) -> None:
    assert verdict([Point(10**index, cost) for index, cost in enumerate(costs)]).startswith(word)


def test_guard_keeps_quiet_at_its_limit() -> None:
    verdicts = guard.judge([turn(2.0, 1.6)], [turn(1.0, 1.0)])
    assert [verdict.is_kept for verdict in verdicts] == [True, True]


def test_guard_says_which_figure_passed_which_limit() -> None:
    requests, _ = guard.judge([turn(80e-6, 30e-6)], [turn(20e-6, 30e-6)])
    assert str(requests) == "CPU per request: 80.0 µs, nginx 20.0 µs: 4.00 > 3.80 x nginx"


def test_guard_does_not_pass_what_was_not_measured() -> None:
    verdicts = guard.judge([turn(nan, 1.0)], [turn(1.0, 1.0)])
    assert [verdict.is_kept for verdict in verdicts] == [False, True]


def test_guard_judges_the_median_round() -> None:
    verdicts = guard.judge([turn(9.0, 1.0), turn(1.0, 1.0), turn(1.5, 1.0)], [turn(1.0, 1.0)])
    assert all(verdict.is_kept for verdict in verdicts)


@needs_compiler
@pytest.mark.slow
def test_guard_without_nginx_says_how_to_get_it(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nowhere = Recipe("nginx", "no-such-program", (), install=("install nginx",))
    assert guard.main(["--cache", str(cache)], nowhere) == 2
    assert "--install, or: install nginx" in capsys.readouterr().err


def test_table_compares_with_nginx_and_with_going_direct() -> None:
    def column(name: str, figure: float) -> Column:
        calm = result(answered=1, latency_p50=figure)
        saturated = result(answered=int(figure), cpu_seconds=1.0)
        return Column(name, "1.0", [Round(0.5, 1e6, 1e3, {"calm": calm, "saturated": saturated})])

    text = report.table(FULL, [column("direct", 10), column("hotspare", 40), column("nginx", 80)])
    assert "| 64 connections: requests/s | 10 | 40 (0.50 x) | 80 |" in text
    assert "| 1 connection: p50, µs | 10 | 40 (+30) | 80 (+70) |" in text


def test_table_leaves_out_what_was_not_measured() -> None:
    text = report.table(FULL, [Column("litellm", "not installed: `pip`", [])])
    assert "| version | not installed: `pip` |" in text
    assert "| start to first answer, s | - |" in text


def test_medians_are_taken_over_the_rounds_that_have_the_figure() -> None:
    start = next(row for row in report.rows(FULL) if row.label.startswith("start"))
    assert start.value([Round(value, 0, 0, {}) for value in (1.0, nan, 2.0, 9.0)]) == 2.0


def test_only_known_peers_can_be_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.parse(["--peers", "nginx,squid"])
    assert "no peer is called squid" in capsys.readouterr().err


@pytest.mark.parametrize("recipe", [*PEERS.values(), hotspare.recipe()], ids=lambda recipe: recipe.name)
def test_recipes_name_nothing_that_is_not_known(recipe: Recipe, tmp_path: Path) -> None:
    values = dict.fromkeys(("peers", "python", "key", "descriptors", "connections", "streams"), "1")
    site = Site(8080, 9090, tmp_path, values)
    for text in (*recipe.command, *recipe.files.values(), *recipe.headers):
        assert "$" not in site.fill(text)


def test_peer_that_is_not_there_has_a_command_to_install_it() -> None:
    recipe = Recipe("ghost", "$peers/ghost", (), install=("get $peers/ghost", "build it"))
    assert not recipe.is_installed({"peers": "/nowhere"})
    assert peers.install_command(recipe, {"peers": "/p"}) == "get /p/ghost && build it"


def test_only_the_last_route_matches() -> None:
    settings = json.loads(hotspare.recipe(size=Size(upstreams=2, routes=3)).files["hotspare.yaml"])
    assert [route["match"] for route in settings["routes"]] == ["family-2-*", "family-1-*", "gpt-4o-mini*"]
    assert len(settings["upstreams"]) == 2


def test_missing_compiler_is_an_error_with_a_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(programs.NoCompiler, match="install one"):
        programs.build("mock", tmp_path)


@needs_compiler
def test_program_is_compiled_once(cache: Path) -> None:
    program = programs.build("driver", cache / "bin")
    compiled_at = program.stat().st_mtime_ns
    assert programs.build("driver", cache / "bin").stat().st_mtime_ns == compiled_at


@needs_compiler
@pytest.mark.slow
def test_driver_and_mock_agree_on_answers(driver: Driver, mock: Target) -> None:
    asked = driver.run(mock, Load(2, 0.05, 0.2))
    assert asked.answered
    assert asked.latency_p50 > 0
    assert asked.faults + asked.unfinished == 0


@needs_compiler
@pytest.mark.slow
def test_driver_and_mock_agree_on_events(driver: Driver, mock: Target) -> None:
    streamed = driver.run(mock, Load(3, 0.0, 0.3, 1_000.0, 3, Pace(5, 2_000)))
    assert (streamed.answered, streamed.events) == (3, 15)
    assert streamed.faults + streamed.unfinished == 0


@needs_compiler
@pytest.mark.slow
def test_open_loop_starts_as_many_as_the_schedule_says(driver: Driver, mock: Target) -> None:
    assert driver.run(mock, Load(8, 0.0, 0.5, rate=1_000.0, requests=50)).answered == 50


@needs_compiler
def test_events_are_found_however_the_bytes_are_split(driver: Driver) -> None:
    def answer(request: bytes) -> Sequence[bytes]:
        event = b"data: " + mark(request) + b"\n\n"
        data = event + event + b"data: [DONE]\n\n"
        whole = chunked_answer(data[:20], data[20:50], data[50:])  # the chunks cut marks as well
        return [whole[at : at + 1] for at in range(len(whole))]

    with scripted(answer) as server:
        streamed = driver.run(server, Load(1, 0.0, 0.1, requests=1, pace=Pace(2, 0)))
    assert (streamed.answered, streamed.events, streamed.faults) == (1, 2, 0)


@needs_compiler
@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (lambda request: [json_answer(mark(request))], None),
        (lambda request: [b"HTTP/1.1 200 OK\r\n\r\n", mark(request)], None),
        (lambda request: [json_answer(mark(request), b"502 Bad Gateway")], "failed"),
        (lambda request: [json_answer(mark(request))[:-1]], "failed"),
        (lambda request: [], "failed"),
        (lambda request: [json_answer(mark(request)) + b"!"], "failed"),
        (lambda request: [json_answer(mark(request, 77))], "mixed_up"),
        (lambda request: [json_answer(mark(request) * 2)], "mixed_up"),
        (lambda request: [json_answer(b"{}")], "lost_events"),
    ],
    ids=["good", "until close", "status", "cut", "nothing", "too much", "other's", "twice", "unmarked"],
)
def test_driver_tells_faults_apart(driver: Driver, answer: Answer, fault: str | None) -> None:
    with scripted(answer) as server:
        outcome = driver.run(server, ONE_REQUEST)
    faults = {name: getattr(outcome, name) for name in ("failed", "mixed_up", "lost_events")}
    assert faults == {name: int(name == fault) for name in faults}


@needs_compiler
def test_refused_connections_are_failed_requests(driver: Driver) -> None:
    outcome = driver.run(Target("nobody", 1), ONE_REQUEST)
    assert outcome.failed == 1
    assert isnan(outcome.latency_p50)


@needs_compiler
@pytest.mark.slow
def test_whole_benchmark_runs(cache: Path, tmp_path: Path) -> None:
    output = tmp_path / "table.md"
    assert command.main(["--quick", "--cache", str(cache), "--output", str(output)]) == 0
    table = output.read_text()
    assert "| version | - | this tree |" in table
    assert "| failed requests, lost events | 0 | 0 |" in table


@needs_compiler
@pytest.mark.slow
def test_curve_is_measured_and_judged(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with rig.assembled(cache) as setup, setup.started(hotspare.recipe(size=Size(upstreams=3, routes=3))) as ours:
        measured = setup.driver.run(ours, QUICK.saturated)
    section = curves.section(curves.CURVES[1], {1: [measured], 10: [measured]})
    assert section.startswith("## Upstreams: flat (steepest power 0.00)")


def test_nginx_is_the_reference() -> None:
    assert NGINX.name == report.REFERENCE


@needs_compiler
@pytest.mark.slow
def test_peer_that_does_not_start_leaves_the_others_their_figures(
    cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = Recipe("broken", "false", ("false",))
    with rig.assembled(cache) as setup:
        assert command._peer_turn(broken, setup, QUICK) == []
    assert "left out: broken ended with status 1" in capsys.readouterr().err
