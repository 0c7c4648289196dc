"""Starting real things for tests: the proxy in this process or as one of its own, and the model server.

With HOTSPARE_TEST_LANE=off in the environment no proxy has the fast lane, unless its configuration says that it has.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from proxy.app import Hotspare
from proxy.config.load import parse
from tests.fakes.upstream import FaultUpstream
from tests.model_child import Child

ROOT = Path(__file__).parent.parent
MODEL = "smollm2-135m-instruct"

QUESTION: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 4}

TIMEOUTS = "timeouts: {connect: 500ms, first_content: 700ms, stall: 700ms}"
PATIENT = "timeouts: {connect: 20s, first_content: 20s, stall: 20s}"
"""For tests in which nobody is to run into a limit, however busy the machine is."""

_ANNOUNCEMENT = re.compile(r"serving on (http://\S+/v1)")


def failing_over(upstream: FaultUpstream, local_url: str, extra: str = "api_key: sk-upstream") -> str:
    """A configuration of one cloud and a local model behind it."""
    return f"""
upstreams:
  - {{name: cloud, base_url: "{upstream.base_url}", {TIMEOUTS}, {extra}}}
local: {{url: "{local_url}", served_model: {MODEL}, prefill: hotspare}}
limits: {{deadline: 10s, local_reserve: 5s, drain: 1s}}
"""


def alone(upstream: FaultUpstream, extra: str = "api_key: sk-upstream") -> str:
    """A configuration of one cloud with nobody behind it."""
    return f"""
upstreams:
  - {{name: cloud, base_url: "{upstream.base_url}", {TIMEOUTS}, {extra}}}
local: false
limits: {{deadline: 2s, drain: 1s}}
"""


def waited_for(upstream: FaultUpstream) -> str:
    """The same, where nobody runs into a limit."""
    return f"""
upstreams: [{{name: cloud, base_url: "{upstream.base_url}", {PATIENT}, api_key: sk-upstream}}]
local: false
limits: {{deadline: 50s, drain: 10s}}
"""


def _by_the_way_in_under_test(config: str) -> str:
    is_off = os.environ.get("HOTSPARE_TEST_LANE") == "off" and "fast_lane:" not in config
    return f"fast_lane: false\n{config}" if is_off else config


@asynccontextmanager
async def running_proxy(config: str) -> AsyncIterator[tuple[Hotspare, str]]:
    """A proxy on this loop, on a free port; gives it and its base URL, with /v1."""
    hotspare = Hotspare(parse(_by_the_way_in_under_test(f"listen: 127.0.0.1:0\n{config}"), {}, file="test.yaml"))
    await hotspare.start()
    try:
        host, port = hotspare.addresses[-1]
        yield hotspare, f"http://{host}:{port}/v1"
    finally:
        await hotspare.stop()


@contextmanager
def running_hotspare(config: Path) -> Iterator[str]:
    """`hotspare serve` as a process of its own; gives its base URL, with /v1.

    It is asked to end with SIGTERM, and has to end well.
    """
    with tempfile.NamedTemporaryFile("w", suffix=config.suffix) as file:
        file.write(_by_the_way_in_under_test(config.read_text()))
        file.flush()
        with _served(Path(file.name)) as base_url:
            yield base_url


@contextmanager
def _served(config: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "proxy", "serve", "--config", str(config)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        said = ""
        while not (found := _ANNOUNCEMENT.search(said)):
            line = process.stderr.readline()
            assert line, f"hotspare ended before it served:\n{said}"
            said += line
        try:
            yield found[1]
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=20)
    assert process.returncode == 0


@contextmanager
def running_model_server() -> Iterator[str]:
    """The real model server on a unix socket, ready; gives its URL."""
    child = Child("--model", MODEL)
    try:
        child.lines_until("ready")
        yield f"unix://{child.socket}"
    finally:
        child.close()


def is_running(pid: int) -> bool:
    """Whether a process that may not be our child is neither gone nor a zombie that its new parent has yet to reap."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
