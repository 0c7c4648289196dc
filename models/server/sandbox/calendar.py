"""The date, for templates that tell it to the model."""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Final

_LONGEST: Final = 100
_WIDE: Final = re.compile(r"%[^a-zA-Z%]*\d{2}")
"""A width, which the C library takes up to any length."""


class Calendar:
    """`strftime_now`, as transformers have it.

    Args:
        now: local time.

    """

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now

    def __call__(self, form: str) -> str:
        """What `datetime.strftime` makes of it. Raises ValueError for a form that makes a long text."""
        if len(form) > _LONGEST or _WIDE.search(form):
            raise ValueError("strftime_now: such a format is not supported")
        return self._now().strftime(form)
