"""Starting real things for tests: the proxy in this process or as one of its own, and the model server."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from proxy.app import Hotspare
from proxy.config.load import parse
from tests.fakes.upstream import FaultUpstream

ROOT = Path(__file__).parent.parent
MODEL = "smollm2-135m-instruct"

QUESTION: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 4}

TIMEOUTS = "timeouts: {connect: 500ms, first_content: 700ms, stall: 700ms}"

_ANNOUNCEMENT = re.compile(r"serving on (http://\S+/v1)")


def failing_over(upstream: FaultUpstream, local_url: str, extra: str = "api_key: sk-upstream") -> str:
    """A configuration of one cloud and a local model behind it."""
    return f"""
upstreams:
  - {{name: cloud, base_url: "{upstream.base_url}", {TIMEOUTS}, {extra}}}
local: {{url: "{local_url}", served_model: {MODEL}}}
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


@asynccontextmanager
async def running_proxy(config: str) -> AsyncIterator[tuple[Hotspare, str]]:
    """A proxy on this loop, on a free port; gives it and its base URL, with /v1."""
    hotspare = Hotspare(parse(f"listen: 127.0.0.1:0\n{config}", {}, file="test.yaml"))
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
    command = [sys.executable, "-m", "proxy.cli", "serve", "--config", str(config)]
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
def running_model_server(socket: Path) -> Iterator[str]:
    """The real model server on a unix socket, ready; gives its URL. It goes when its standard input is closed."""
    command = [sys.executable, "-m", "models", "serve", "--supervised", "--socket", str(socket), "--model", MODEL]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        events = (json.loads(line)["event"] for line in process.stdout)
        assert "ready" in events, "the model server ended before it was ready"
        yield f"unix://{socket}"
        process.stdin.close()
