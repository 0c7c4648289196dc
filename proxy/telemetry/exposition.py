"""A snapshot as Prometheus reads it. The format is prometheus-client's; no `_created` series, which nobody graphs."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from proxy.telemetry import families
from proxy.telemetry.families import Family
from proxy.telemetry.tally import Histogram, Labels, Snapshot

_INFINITY = "+Inf"


def exposition(snapshot: Snapshot) -> tuple[bytes, str]:
    """The exposition and its content type."""
    registry = CollectorRegistry()
    registry.register(_Exposed(snapshot))
    return generate_latest(registry), CONTENT_TYPE_LATEST


class _Exposed(Collector):
    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def describe(self) -> Iterable[Metric]:
        """Nothing: the registry lives for one exposition, in which no name can clash."""
        return ()

    def collect(self) -> Iterator[Metric]:
        for family in families.COUNTERS:
            yield _counter(family, self._snapshot.counters.get(family.name, {}))
        for family in families.HISTOGRAMS:
            yield _histogram(family, self._snapshot.histograms.get(family.name, {}))
        gauges = self._snapshot.levels | self._snapshot.peaks
        for family in (*families.LEVELS, *families.PEAKS):
            yield _gauge(family, gauges.get(family.name, {}))


def _counter(family: Family, series: Mapping[Labels, float]) -> Metric:
    metric = CounterMetricFamily(family.name, family.text, labels=family.labels)
    for labels, value in series.items():
        metric.add_metric(labels, value)
    return metric


def _gauge(family: Family, series: Mapping[Labels, float]) -> Metric:
    metric = GaugeMetricFamily(family.name, family.text, labels=family.labels)
    for labels, value in series.items():
        metric.add_metric(labels, value)
    return metric


def _histogram(family: Family, series: Mapping[Labels, Histogram]) -> Metric:
    metric = HistogramMetricFamily(family.name, family.text, labels=family.labels)
    for labels, histogram in series.items():
        metric.add_metric(labels, _buckets(histogram), histogram.sum)
    return metric


def _buckets(histogram: Histogram) -> list[tuple[str, float]]:
    """Prometheus's buckets are cumulative: each holds all that is below it."""
    bounds = [*map(floatToGoString, histogram.bounds), _INFINITY]
    return list(zip(bounds, accumulate(histogram.counts), strict=True))
