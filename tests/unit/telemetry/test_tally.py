"""Counts, buckets, and what adds up over processes."""

import pytest

from proxy.telemetry.tally import Histogram, Snapshot, Tally, merged

NAME = "hotspare_things"


def test_what_is_asked_for_twice_is_the_same() -> None:
    tally = Tally()
    tally.count(NAME, "a").value += 1
    tally.count(NAME, "a").value += 1
    tally.count(NAME, "b").value += 1
    assert tally.snapshot().counters == {NAME: {("a",): 2.0, ("b",): 1.0}}


@pytest.mark.parametrize(
    ("value", "counts"), [(0.0, [1, 0, 0]), (1.0, [1, 0, 0]), (1.5, [0, 1, 0]), (2.0, [0, 1, 0]), (2.1, [0, 0, 1])]
)
def test_bound_of_a_bucket_belongs_to_it(value: float, counts: list[int]) -> None:
    histogram = Histogram.empty((1.0, 2.0))
    histogram.observe(value)
    assert histogram == Histogram((1.0, 2.0), counts, value)


def test_snapshot_does_not_change_with_what_it_was_taken_of() -> None:
    tally = Tally()
    histogram = tally.histogram(NAME, (1.0,), "a")
    histogram.observe(0.5)
    snapshot = tally.snapshot()
    histogram.observe(0.5)
    assert snapshot.histograms[NAME]["a",].counts == [1, 0]


def test_histogram_that_observed_nothing_is_not_told() -> None:
    tally = Tally()
    tally.histogram(NAME, (1.0,), "a")
    assert tally.snapshot().histograms == {NAME: {}}


def test_counts_and_levels_add_up_and_of_peaks_the_highest_stands() -> None:
    one = Snapshot(counters={NAME: {("a",): 1.0}}, levels={NAME: {(): 3.0}}, peaks={NAME: {("open",): 0.0}})
    two = Snapshot(counters={NAME: {("a",): 2.0}}, levels={NAME: {(): 4.0}}, peaks={NAME: {("open",): 1.0}})
    both = Snapshot(counters={NAME: {("a",): 3.0}}, levels={NAME: {(): 7.0}}, peaks={NAME: {("open",): 1.0}})
    assert merged([one, two]) == both


def test_merging_changes_none_of_the_merged() -> None:
    one = Snapshot(histograms={NAME: {("a",): Histogram((1.0,), [1, 0], 0.5)}})
    merged([one, one])
    assert one.histograms[NAME]["a",] == Histogram((1.0,), [1, 0], 0.5)


def test_histograms_with_different_bounds_do_not_add_up() -> None:
    with pytest.raises(ValueError, match="different bounds"):
        Histogram.empty((1.0,)).plus(Histogram.empty((2.0,)))


def test_nothing_merged_is_nothing() -> None:
    assert merged([]) == Snapshot()


def test_of_a_process_that_ended_only_what_it_counted_remains() -> None:
    whole = Snapshot(
        counters={NAME: {(): 1.0}},
        histograms={NAME: {(): Histogram((1.0,), [1, 0], 0.5)}},
        levels={NAME: {(): 3.0}},
        peaks={NAME: {(): 1.0}},
    )
    assert whole.remains() == Snapshot(counters=whole.counters, histograms=whole.histograms)
