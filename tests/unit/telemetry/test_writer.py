"""The way out: nobody waits for a slow reader, nothing is lost without being said, and the end writes what is left."""

import gc
import io
import logging
import os
import subprocess
import sys
import threading

import pytest

from proxy.telemetry import log
from proxy.telemetry.events import ModelServerChanged, Phase
from proxy.telemetry.line import Line
from proxy.telemetry.writer import RING_LINES, Ring, Writer
from tests.running import ROOT
from tests.unit.stand_ins import request_ended


class Stuck(io.StringIO):
    """Takes nothing until it is told to. Tells when somebody wants to write."""

    def __init__(self) -> None:
        super().__init__()
        self.is_wanted = threading.Event()
        self.is_reading = threading.Event()

    def write(self, text: str) -> int:
        self.is_wanted.set()
        self.is_reading.wait()
        return super().write(text)


class Gone(io.StringIO):
    """Refuses the first write."""

    def __init__(self) -> None:
        super().__init__()
        self.has_refused = threading.Event()

    def write(self, text: str) -> int:
        if not self.has_refused.is_set():
            self.has_refused.set()
            raise BrokenPipeError
        return super().write(text)


class Noticed(io.StringIO):
    """Tells when something was written."""

    def __init__(self) -> None:
        super().__init__()
        self.has_text = threading.Event()

    def write(self, text: str) -> int:
        self.has_text.set()
        return super().write(text)


def line(message: str, level: int = logging.INFO) -> Line:
    return Line(7.0, level, "hotspare", message, {})


def said(waiting: Line) -> str:
    return f"{waiting.message}\n"


def test_full_ring_keeps_the_oldest_and_counts_the_rest() -> None:
    ring = Ring(limit=2)
    for message in "abcd":
        ring.push(line(message))
    assert [each.message for each in ring.take(10)] == ["a", "b"]
    assert ring.take_dropped() == Line(7.0, logging.WARNING, "hotspare", "log lines dropped", {"count": 2})
    assert ring.take_dropped() is None


def test_taking_makes_room() -> None:
    ring = Ring(limit=1)
    ring.push(line("a"))
    ring.take(1)
    ring.push(line("b"))
    assert [each.message for each in ring.take(1)] == ["b"]


@pytest.mark.parametrize(("level", "is_urgent"), [(logging.INFO, False), (logging.WARNING, True)])
def test_only_what_somebody_should_see_wakes_the_writer(level: int, is_urgent: bool) -> None:
    ring = Ring()
    ring.push(line("a", level))
    assert ring.wait(0) is is_urgent


def test_lines_are_written_while_the_log_goes_on() -> None:
    ring, stream = Ring(), Noticed()
    writer = Writer(ring, said, stream)
    writer.start()
    ring.push(line("a"))
    assert stream.has_text.wait(10)
    writer.stop()


def test_orderly_end_writes_everything_in_order() -> None:
    ring, stream = Ring(), io.StringIO()
    writer = Writer(ring, said, stream)
    for number in range(1000):
        ring.push(line(str(number)))
    writer.start()
    writer.stop()
    assert stream.getvalue().split() == [str(number) for number in range(1000)]


def test_lines_that_could_not_be_written_are_counted_when_they_can_be() -> None:
    ring, stream = Ring(), Gone()
    writer = Writer(ring, said, stream)
    ring.push(line("a"))
    writer.start()
    assert stream.has_refused.wait(10)
    ring.push(line("b"))
    writer.stop()
    assert stream.getvalue() == "b\nlog lines dropped\n"


@pytest.mark.slow
def test_reader_that_stopped_reading_stops_nobody() -> None:
    stream = Stuck()
    with log.configured("human", "info", stream):
        sink = log.LogSink()
        sink(request_ended())
        assert stream.is_wanted.wait(10)  # from here on the writer hangs, and takes nothing out of the ring
        for _ in range(2 * RING_LINES):
            sink(request_ended())
        stream.is_reading.set()
    assert f"log lines dropped count={RING_LINES}" in stream.getvalue().splitlines()[-1]


SILENT_PIPE = """
import sys
from proxy.telemetry import log
from proxy.telemetry.events import ModelServerChanged, Phase
with log.configured("json", "info"):
    sink = log.LogSink()
    for _ in range(5000):
        sink(ModelServerChanged(Phase.READY))
print("ended", flush=True)
"""


@pytest.mark.slow
def test_process_ends_although_nobody_reads_its_log() -> None:
    unread, full = os.pipe()
    try:
        ran = subprocess.run(
            [sys.executable, "-c", SILENT_PIPE], cwd=ROOT, stdout=subprocess.PIPE, stderr=full, check=False
        )
    finally:
        os.close(unread)
        os.close(full)
    assert (ran.returncode, ran.stdout) == (0, b"ended\n")


def test_descriptor_that_does_not_block_gets_every_line() -> None:
    readable, writable = os.pipe()
    os.set_blocking(writable, False)
    got: list[bytes] = []

    def read() -> None:
        while content := os.read(readable, 1 << 16):
            got.append(content)

    reader = threading.Thread(target=read)
    with os.fdopen(writable, "w") as stream, log.configured("json", "info", stream):
        sink = log.LogSink()
        for _ in range(2000):
            sink(request_ended())
        reader.start()
    reader.join()
    os.close(readable)
    assert b"".join(got).count(b"\n") == 2000


def test_lines_are_none_of_the_cyclic_collectors_business() -> None:
    assert not gc.is_tracked(Line(7.0, logging.INFO, "hotspare", "request", request_ended()))
    assert not gc.is_tracked(request_ended())
    assert not gc.is_tracked(ModelServerChanged(Phase.READY))
