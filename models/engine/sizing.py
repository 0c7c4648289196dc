"""How many sequences at once, and how their memory is laid out. Pure.

A cache that is split gives every sequence room for a whole context of its own: nobody ever has to make place, and a
step looks at no more than what each sequence has read. A unified one is a pool of cells that all share: a prefix that
several have in common lies there once, and many short sequences fit where few long ones would, but every row of a step
is compared with the cells of all others. Where the memory is there, split is faster: a step of 8 or 16 sequences of the
default model takes half of the time when each has read 220 tokens, a quarter when each has read 1,000.

Flash attention saves a GPU its memory traffic. In a split cache llama.cpp's kernels for CPUs take twice as long for a
step of decoding at a depth of 1,500 tokens, and are no faster in reading prompts; in a pool they read prompts faster by
a third.
"""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

KvLayout: TypeAlias = Literal["auto", "split", "unified"]

CPU_PARALLEL: Final = 16
"""Beyond eight streams a CPU gives hardly more tokens a second, but whoever waits for a slot sees nothing at all."""

GPU_PARALLEL: Final = 64

STEP_TOKENS: Final = 512
"""The most that one step reads. More is no faster per token; a step cannot be interrupted."""

MAX_SLOTS: Final = 256
"""llama.cpp's own limit."""

_CELL_ALIGNMENT: Final = 256
"""llama.cpp rounds the cells of a sequence up to this."""

_MEMORY_SHARE: Final = 4
_MOST_BYTES: Final = 2**29
"""What is taken without being asked: a quarter of the free memory, and no more than this. A sidecar is a guest."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the operator said.

    Attributes:
        context_tokens: the longest sequence.
        parallel: sequences at once; None to choose.
        kv: the layout.
        kv_bytes: memory for the cache; None to choose.

    """

    context_tokens: int
    parallel: int | None = None
    kv: KvLayout = "auto"
    kv_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Sizing:
    """The choice.

    Attributes:
        parallel: sequences at once.
        slots: ids: sequences that run, and that are kept.
        cells: tokens in all.
        is_unified: whether they are one pool.
        has_flash_attention: whether its kernels are the faster ones.
        reason: for people.

    """

    parallel: int
    slots: int
    cells: int
    is_unified: bool
    has_flash_attention: bool
    reason: str


def default_kv_bytes(available_bytes: int) -> int:
    """How much memory the cache may take where nobody says."""
    return min(available_bytes // _MEMORY_SHARE, _MOST_BYTES)


def choose(wishes: Wishes, *, bytes_per_token: int, available_bytes: int, has_gpu: bool) -> Sizing:
    """Size the cache; `bytes_per_token` of one token's keys and values over all layers, never 0."""
    budget = default_kv_bytes(available_bytes) if wishes.kv_bytes is None else wishes.kv_bytes
    parallel = min(wishes.parallel or (GPU_PARALLEL if has_gpu else CPU_PARALLEL), MAX_SLOTS)
    context = _aligned(wishes.context_tokens)
    needed = parallel * context * bytes_per_token
    if wishes.kv == "split" or (wishes.kv == "auto" and needed <= budget):
        reason = f"a context for each of {parallel} sequences takes {_mib(needed)}"
        return Sizing(
            parallel, parallel, parallel * context, is_unified=False, has_flash_attention=has_gpu, reason=reason
        )
    cells = min(max(_aligned(budget // bytes_per_token), context), parallel * context)
    reason = f"{parallel} sequences share {cells} tokens in {_mib(cells * bytes_per_token)}; split: {_mib(needed)}"
    slots = min(2 * parallel, MAX_SLOTS)
    return Sizing(parallel, slots, cells, is_unified=True, has_flash_attention=True, reason=reason)


def _aligned(tokens: int) -> int:
    return -(-tokens // _CELL_ALIGNMENT) * _CELL_ALIGNMENT


def _mib(size: int) -> str:
    return f"{size / 2**20:.0f} MiB"
