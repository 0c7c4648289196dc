"""The demo as it runs: a real proxy, its real model server, a real client, and a cloud that is really killed."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, TextIO

import aiohttp

from proxy import signals
from proxy.app import Hotspare
from proxy.clock import SystemClock
from proxy.config.load import parse
from proxy.config.schema import Config
from proxy.demo.application import Application
from proxy.demo.cloud import Cloud, serving
from proxy.demo.page import page_for
from proxy.demo.performance import Performance, Stage
from proxy.demo.story import story

_CONFIG: Final = """
listen: 127.0.0.1:0
upstreams: [{name: cloud, base_url: "${CLOUD}", api_key: demo}]
local: {model: "${MODEL}", context: 2048, parallel: 2, prime: false, canary: off}
limits: {drain: 0s}
log: {format: human, level: error}
"""
_PATIENCE_SECONDS: Final = 120.0


@dataclass(frozen=True, slots=True)
class Options:
    """What the visitor may choose."""

    question: str | None
    """None: the usual one."""
    model: str
    """Of the catalogue, or the path of a GGUF file."""
    is_fast: bool
    """Without pauses for reading."""


async def demo(options: Options, out: TextIO) -> None:
    """Show it all on `out`. SIGTERM and SIGHUP cancel it, as Ctrl-C does, and nothing is left behind.

    Raises DemoFailed: there is no local model, or an answer was not whole.
    """
    signals.end_at_once()
    clock = SystemClock()
    told = story(options.question, is_fast=options.is_fast)
    async with (
        serving(told.words, told.word_seconds, clock) as cloud,
        _running(_config(cloud, options.model)) as hotspare,
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(_PATIENCE_SECONDS)) as session,
    ):
        application = Application(session, _base_url(hotspare), clock)
        page = page_for(out.isatty(), os.environ, shutil.get_terminal_size().columns)
        await Performance(told, Stage(page, out), clock, cloud, hotspare, application).play()


def _config(cloud: Cloud, model: str) -> Config:
    return parse(_CONFIG, {"CLOUD": cloud.base_url, "MODEL": model}, file="demo")


@asynccontextmanager
async def _running(config: Config) -> AsyncIterator[Hotspare]:
    hotspare = Hotspare(config)
    try:
        await hotspare.start()
        yield hotspare
    finally:
        await hotspare.stop()


def _base_url(hotspare: Hotspare) -> str:
    host, port = hotspare.addresses[-1]
    return f"http://{host}:{port}/v1"
