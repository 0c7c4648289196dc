"""When something is due every week. Pure: what the clock on the wall shows is an argument."""

from datetime import datetime, timedelta
from typing import NamedTuple

LATE = timedelta(minutes=1)
"""What was due while the machine slept, or its clock was set, is left out: the time was chosen on purpose."""


class WeekTime(NamedTuple):
    """A moment of every week, in local time; `weekday` is 0 for Monday."""

    weekday: int
    hour: int
    minute: int

    def was_due(self, before: datetime, now: datetime) -> bool:
        """Whether it has come after `before` and not after `now`, two readings of the clock on the wall.

        They have no time zone: an hour that the clock skips in spring is not due that day, and one that it shows twice
        in autumn is due twice.
        """
        latest = self.latest(now)
        return before < latest and now - before <= LATE

    def latest(self, now: datetime) -> datetime:
        """The last time that it came, `now` included."""
        days = (now.weekday() - self.weekday) % 7
        moment = now.replace(hour=self.hour, minute=self.minute, second=0, microsecond=0) - timedelta(days=days)
        return moment if moment <= now else moment - timedelta(days=7)
