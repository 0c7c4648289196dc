"""Work in a thread that ends with it.

libgomp keeps the threads that a thread has computed with for as long as that thread lives. Once there are more of them
than processors, each that waits for the others goes to sleep after a hundred turns, not after GOMP_SPINCOUNT
(`gomp_throttled_spin_count_var`): a step then takes half as long again. So whoever loads a model, which computes a
first step, must not live on beside the engine, as the threads of asyncio's pool do.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


async def in_brief_thread(work: Callable[[], T]) -> T:
    """What `work` returns or raises. Cancelled, it is not waited for."""
    pool = ThreadPoolExecutor(1, thread_name_prefix="brief")
    try:
        return await asyncio.get_running_loop().run_in_executor(pool, work)
    finally:
        pool.shutdown(wait=False)
