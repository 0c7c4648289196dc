"""The benchmark's own arithmetic and framing; the numbers themselves are nobody's test."""

import os
from math import isnan

import pytest

from tests.bench import driver, process, traffic
from tests.bench.__main__ import parse
from tests.bench.driver import Address
from tests.bench.measure import Figures, Footprint, medians, percentile
from tests.bench.mock import event
from tests.bench.report import render
from tests.bench.traffic import Pace


def figures(value: float) -> Figures:
    return Figures(*[value] * 13)


def test_message_ends_where_its_length_says() -> None:
    message = traffic.request("localhost:1", traffic.body())
    assert traffic.message_end(message + b"POST /next") == len(message)
    assert traffic.message_end(message[:-1]) == 0


def test_pace_survives_the_request() -> None:
    assert traffic.pace_of(traffic.body(Pace(100, 40))) == Pace(100, 40)
    assert traffic.pace_of(traffic.body()) is None


def test_answer_is_whole_only_with_its_last_byte() -> None:
    stream = traffic.stream_head() + traffic.stream_tail()
    for answer in (traffic.answer(), stream):
        assert traffic.is_whole_answer(answer)
        assert not traffic.is_whole_answer(answer[:-1])


def test_times_are_found_in_events_split_anywhere() -> None:
    data = traffic.stream_head() + event(123) + event(456) + traffic.stream_tail()
    for cut in range(len(data)):
        first, rest = traffic.times_sent(data[:cut])
        second, rest = traffic.times_sent(rest + data[cut:])
        assert first + second == [123, 456]
        assert rest.endswith(traffic.LAST_CHUNK)


def test_percentile_of_little_or_nothing() -> None:
    assert percentile([3.0], 99) == 3.0
    assert isnan(percentile([], 50))
    assert percentile(range(101), 99) == 99


def test_medians_are_taken_field_by_field() -> None:
    assert medians([figures(1.0), figures(9.0), figures(2.0)]) == figures(2.0)


def test_report_compares_each_target_with_direct() -> None:
    table = render(
        "machine", "direct", {"direct": figures(2.0), "ours": figures(1.0)}, {"ours": Footprint(0.5, 4e7, 1e4)}
    )
    assert "| 32 connections: requests/s | 2 | 1 (0.50 x) |" in table
    assert "| start to first served request, s | - | 0.50 |" in table


def test_only_loopback_may_stand_beside_us(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["--also", "cloud=http://api.example.com:80"])
    assert "write NAME=http://127.0.0.1:PORT" in capsys.readouterr().err


@pytest.mark.slow
async def test_driver_and_mock_agree() -> None:
    with process.mock(min(os.sched_getaffinity(0))) as address:
        asked = await driver.ask(address, 2, 0.02)
        streamed = await driver.stream(address, 3, Pace(5, 2))
        assert process.listener(address).rss_bytes() > 0
    assert asked.latencies
    assert (len(streamed.latencies), len(streamed.ttfts), len(streamed.delays)) == (3, 3, 15)
    assert asked.failures + streamed.failures == 0


async def test_refused_connection_ends_the_run() -> None:
    with pytest.raises(ConnectionRefusedError):
        await driver.ask(Address("127.0.0.1", 1), 1, 0.01)
