"""The bond between the server and the process that started it."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from models.errors import EXIT_SETUP
from tests.integration.models.tiny import Kind, write
from tests.model_child import Child
from tests.running import is_running

pytestmark = [pytest.mark.model, pytest.mark.slow]

# Starts the server as its child, prints the child's pid when it is ready, then waits to be killed.
PARENT = """
import json, subprocess, sys, time
command = [sys.executable, "-m", "models", "serve", "--supervised", "--socket", sys.argv[1]]
child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
while json.loads(child.stdout.readline())["event"] != "ready":
    pass
print(child.pid, flush=True)
time.sleep(60)
"""


def test_start_is_told_in_order(model_file: Path) -> None:
    child = Child("--context", "512")
    lines = child.lines_until("ready")
    ready = lines[-1]
    assert [line["phase"] for line in lines if line["event"] == "phase"] == ["loading", "warming"]
    assert (ready["model"], ready["context"], ready["gpu_layers"]) == ("smollm2-135m-instruct", 512, 0)
    assert ready["threads"] >= 1
    assert ready["first_token_seconds"] > 0
    child.close()


def test_child_that_is_held_loads_when_a_line_comes(model_file: Path) -> None:
    child = Child("--context", "512", "--standby")
    held = child.lines_until("phase")[-1]
    beats = [child.line()["event"] for _ in range(2)]
    child.tell(b"load\n")
    told = child.lines_until("ready")
    assert (held["phase"], beats) == ("standby", ["beat", "beat"])
    assert [line["phase"] for line in told if line["event"] == "phase"] == ["loading", "warming"]
    child.close()


def test_line_that_comes_early_is_not_lost(model_file: Path) -> None:
    child = Child("--context", "512", "--standby")
    child.tell(b"load\n")
    phases = [line["phase"] for line in child.lines_until("ready") if line["event"] == "phase"]
    assert phases == ["standby", "loading", "warming"]
    child.close()


def test_end_of_stdin_and_sigterm_end_a_child_that_is_held(model_file: Path) -> None:
    told, orphan = Child("--standby"), Child("--standby")
    for child in (told, orphan):
        child.lines_until("phase")
    told.process.send_signal(signal.SIGTERM)
    assert orphan.process.stdin is not None
    orphan.process.stdin.close()
    assert (told.process.wait(timeout=10), orphan.process.wait(timeout=10)) == (0, 0)
    told.close()
    orphan.close()


def test_absent_file_is_told_before_anybody_wants_the_model(tmp_path: Path) -> None:
    child = Child("--standby", "--no-pull", environ={"HOTSPARE_MODELS": str(tmp_path)})
    assert "hotspare model pull" in child.lines_until("failed")[-1]["message"]
    assert child.process.wait(timeout=10) == 3
    child.close()


def test_nobody_is_held_without_a_supervisor() -> None:
    command = [sys.executable, "-m", "models", "serve", "--standby"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=20)
    assert (done.returncode, "--supervised" in done.stderr) == (2, True)


def test_beats_come_from_the_start_and_go_on(model_file: Path) -> None:
    child = Child("--context", "512")
    assert child.line() == {"event": "beat", "step_age_seconds": 0.0, "running": 0, "queued": 0}
    child.lines_until("ready")
    assert child.line()["event"] == "beat"
    child.close()


def test_end_of_stdin_ends_the_server_even_while_it_loads(model_file: Path) -> None:
    child = Child()
    child.line()
    assert child.process.stdin is not None
    child.process.stdin.close()
    assert child.process.wait(timeout=10) == 0
    child.close()


def test_sigterm_ends_the_server_with_zero(model_file: Path) -> None:
    child = Child("--context", "512")
    child.lines_until("ready")
    child.process.send_signal(signal.SIGTERM)
    assert child.process.wait(timeout=10) == 0
    child.close()


def test_sigterm_while_loading_ends_the_server_with_zero(model_file: Path) -> None:
    child = Child()
    child.lines_until("phase")
    child.process.send_signal(signal.SIGTERM)
    assert child.process.wait(timeout=10) == 0
    child.close()


async def test_sigterm_ends_a_server_that_streams(model_file: Path) -> None:
    child = Child()
    child.lines_until("ready")
    body = {"model": "smollm2-135m-instruct", "stream": True, "messages": [{"role": "user", "content": "Hi"}]}
    async with (
        child.connect() as session,
        session.post("/v1/chat/completions", json=body | {"logit_bias": {"2": -100}}) as answer,
    ):
        await answer.content.readline()
        child.process.send_signal(signal.SIGTERM)
        rest = await answer.text()
    assert "shutting down" in rest
    assert "[DONE]" not in rest
    assert child.process.wait(timeout=10) == 0
    child.close()


def test_sigkill_of_the_parent_ends_the_server(model_file: Path, tmp_path: Path) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path / "s")], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.wait(timeout=10)
    # The orphan held the other end of its parent's stderr, not of this pipe: ask the kernel for the process itself.
    while is_running(pid):
        pass
    parent.stdout.close()


async def test_posts_before_ready_are_503_still_loading(tmp_path: Path) -> None:
    # An empty folder and a fetch that cannot get anywhere keep the server in its first phase.
    child = Child(environ={"HOTSPARE_MODELS": str(tmp_path), "PIP_INDEX_URL": "http://127.0.0.1:9", "PIP_RETRIES": "9"})
    assert child.lines_until("phase")[-1]["phase"] == "fetching"
    async with child.connect() as session:
        async with session.post("/v1/chat/completions", json={}) as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
        async with session.get("/health") as answer:
            assert (answer.status, (await answer.json())["status"]) == (503, "loading")
    child.close()


def test_absent_model_without_pull_is_a_lasting_failure(tmp_path: Path) -> None:
    child = Child("--no-pull", environ={"HOTSPARE_MODELS": str(tmp_path)})
    assert "hotspare model pull" in child.lines_until("failed")[-1]["message"]
    assert child.process.wait(timeout=10) == 3
    child.close()


def test_file_that_is_no_model_is_a_lasting_failure(tmp_path: Path) -> None:
    fake = tmp_path / "fake.gguf"
    fake.write_bytes(b"GGUF" + bytes(100))
    child = Child("--model", str(fake))
    assert "cannot load" in child.lines_until("failed")[-1]["message"]
    assert child.process.wait(timeout=10) == 3
    child.close()


def test_download_that_fails_is_a_lasting_failure_and_leaves_nothing(tmp_path: Path) -> None:
    environ = {"HOTSPARE_MODELS": str(tmp_path), "PIP_INDEX_URL": "http://127.0.0.1:9", "PIP_RETRIES": "0"}
    child = Child(environ=environ)
    assert "pip could not download" in child.lines_until("failed")[-1]["message"]
    assert child.process.wait(timeout=20) == 3
    assert list(tmp_path.iterdir()) == []
    child.close()


def test_template_that_takes_no_conversation_is_a_lasting_failure(tmp_path: Path) -> None:
    source = {"tokenizer.chat_template": "{{ functions | tojson }}{{ functions.no.such.thing }}"}
    child = Child("--model", str(write(Kind.FULL, tmp_path / "odd.gguf", extra=source)), "--threads", "1")
    assert "takes no conversation" in child.lines_until("failed")[-1]["message"]
    assert child.process.wait(timeout=30) == EXIT_SETUP
    child.close()
