"""What /metrics says, read as Prometheus reads it."""

import asyncio
from collections.abc import Callable

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


class Scrape:
    """One reading."""

    def __init__(self, text: str) -> None:
        self.families = list(text_string_to_metric_families(text))
        self._samples: Samples = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in self.families
            for sample in family.samples
        }

    def value(self, name: str, **labels: str) -> float | None:
        """The sample with exactly these labels."""
        return self._samples.get((name, frozenset(labels.items())))

    @property
    def label_values(self) -> set[str]:
        """Every value of every label, but for the bounds of histograms and the version."""
        labels = (label for _, labels in self._samples for label in labels)
        return {value for name, value in labels if name not in ("le", "version")}


async def scrape(session: aiohttp.ClientSession, base_url: str) -> Scrape:
    """Read the metrics of the proxy whose API is at `base_url`."""
    async with session.get(base_url.removesuffix("/v1") + "/metrics") as answer:
        assert answer.status == 200
        return Scrape(await answer.text())


async def scrape_until(session: aiohttp.ClientSession, base_url: str, predicate: Callable[[Scrape], bool]) -> Scrape:
    """Read until the predicate holds: what ends a request comes a moment after the client has seen its end.

    Raises TimeoutError after five seconds.
    """
    async with asyncio.timeout(5):
        while not predicate(reading := await scrape(session, base_url)):
            pass
    return reading


def is_idle(reading: Scrape) -> bool:
    """No request is being served."""
    return reading.value("hotspare_requests_in_flight") == 0
