"""The garbage collector, for a process that has started and will now serve."""

import gc

SETTLE_SECONDS = 1.0
"""How long after the start: the first requests should not have to wait for it."""
_THRESHOLDS = (50_000, 20, 100)


def settle() -> None:
    """Take what start-up has left out of the collector's sight, and let it look less often.

    A request leaves no cycle behind, so a collection finds next to nothing and costs a pause: tens of milliseconds
    where it walks over all modules, at the default thresholds after every few hundred requests.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
