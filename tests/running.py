"""Starting real things for tests: the proxy in this process or as one of its own, and the model server."""

import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from proxy.app import Hotspare
from proxy.config.load import parse

ROOT = Path(__file__).parent.parent
MODEL = "smollm2-135m-instruct"


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
