"""What was made lately, so that it need not be made again."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

ValueT = TypeVar("ValueT")


class Recent(Generic[ValueT]):
    """A bounded memory of results by key; the one unused for longest goes first. For several threads.

    Two that ask for the same at once may both make it.

    Args:
        most: how many results are kept.

    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: OrderedDict[bytes, ValueT] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: bytes, make: Callable[[], ValueT]) -> ValueT:
        """The result of that key, made if it is not at hand. What `make` raises is not kept."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key]
        value = make()
        with self._lock:
            self._values[key] = value
            if len(self._values) > self._most:
                self._values.popitem(last=False)
        return value
