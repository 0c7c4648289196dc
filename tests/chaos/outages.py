"""Outages of record, in minutes, and three that every operator knows. Sources: the post-mortems of the providers.

What an error said is as it was; how its kinds were mixed, where nobody has written it down, is our guess.
"""

from collections.abc import Mapping
from types import MappingProxyType

from tests.chaos.person import TEXT_MODEL
from tests.chaos.timeline import Act, Timeline
from tests.fakes.behaviour import Behaviour

OK = (Behaviour.OK,)
_TEXT_IS_WELL = MappingProxyType({TEXT_MODEL: Behaviour.OK})
_TOO_SLOW_SECONDS = 3.0
"""Of 30-40 s at the time."""


def _failing(one_in: int, *faults: Behaviour) -> tuple[Behaviour, ...]:
    """Of so many requests one fails, each time in another way."""
    return tuple(answer for fault in faults for answer in (*OK * (one_in - 1), fault))


OUTAGES: Mapping[str, Timeline] = MappingProxyType(
    {
        # 502 with an integer code, 503, a success an hour in that means nothing, then 429 with a body not OpenAI's.
        "2023-11-08": Timeline(
            [
                Act(55, (Behaviour.ERROR_502, Behaviour.ERROR_503)),
                Act(2, OK),
                Act(28, (Behaviour.ERROR_503, Behaviour.ERROR_502)),
                Act(30, (Behaviour.RATE_LIMITED_PLAIN_429,)),
            ],
            is_check_green=True,
        ),
        # Two waves.
        "2024-08-16": Timeline([Act(44, (Behaviour.ERROR_500,)), Act(20, OK), Act(15, (Behaviour.ERROR_503,))]),
        # 530 for everybody, then every request takes half a minute and succeeds.
        "2024-12-04": Timeline(
            [
                Act(4, (Behaviour.ERROR_530,)),
                Act(90, (Behaviour.SLOW_FIRST,), delay_seconds=_TOO_SLOW_SECONDS),
            ]
        ),
        # Worse as DNS caches run out, then nobody there, then back model by model.
        "2024-12-11": Timeline(
            [
                Act(20, _failing(3, Behaviour.ERROR_503, Behaviour.HANG)),
                Act(20, (Behaviour.ERROR_503, Behaviour.CLOSE, Behaviour.HANG)),
                Act(160, ()),
                Act(62, (Behaviour.ERROR_503,), _TEXT_IS_WELL),
            ]
        ),
        # Over 90 % errors on some endpoints, text completions fine.
        "2024-12-26": Timeline(
            [Act(270, (*(Behaviour.ERROR_500, Behaviour.ERROR_503, Behaviour.RESET) * 4, Behaviour.OK), _TEXT_IS_WELL)]
        ),
        # A quarter of all calls, then one in twenty for hours, and slow.
        "2025-06-10": Timeline(
            [
                Act(240, _failing(4, Behaviour.ERROR_503, Behaviour.ERROR_500)),
                Act(240, _failing(4, Behaviour.SLOW_FIRST, Behaviour.STALL), delay_seconds=_TOO_SLOW_SECONDS),
                Act(444, _failing(20, Behaviour.ERROR_500)),
            ]
        ),
        # Streams that end in the middle of an answer.
        "2026-06-20": Timeline(
            [Act(180, (Behaviour.TRUNCATED_200, Behaviour.CUT, Behaviour.OK, Behaviour.CUT_MID_EVENT))]
        ),
        "flapping": Timeline([Act(5, (Behaviour.ERROR_503,)), Act(5, OK)] * 4),
        "slow decay": Timeline(
            [
                Act(5, (Behaviour.SLOW_FIRST,), delay_seconds=delay_seconds)
                for delay_seconds in (0.1, 0.3, 0.6, 0.9, _TOO_SLOW_SECONDS)
            ]
        ),
        "relapse": Timeline(
            [
                Act(10, ()),
                Act(4, (Behaviour.OK, Behaviour.ERROR_503, Behaviour.CUT)),
                Act(4, OK),
                Act(6, (Behaviour.HANG,)),
            ]
        ),
    }
)
