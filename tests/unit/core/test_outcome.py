"""Every end has a weight, and every status line has one meaning for each owner of the key."""

import pytest

from proxy.core.outcome import WEIGHTS, KeyOwner, Kind, Outcome, Weight, kind_of_status


def test_every_kind_has_a_weight() -> None:
    assert set(WEIGHTS) == set(Kind)


def test_only_an_answer_is_a_success() -> None:
    assert [kind for kind, weight in WEIGHTS.items() if weight is Weight.SUCCESS] == [Kind.OK]


def test_only_a_rate_limit_is_soft() -> None:
    assert [kind for kind, weight in WEIGHTS.items() if weight is Weight.SOFT] == [Kind.RATE_LIMITED]


def test_what_the_client_or_we_did_says_nothing_about_the_upstream() -> None:
    said = {kind for kind, weight in WEIGHTS.items() if weight is Weight.NOTHING}
    the_clients = {Kind.CALLER_ERROR, Kind.CLIENT_GONE, Kind.CLIENT_DEADLINE, Kind.NO_KEY}
    assert said == the_clients | {Kind.UNAVAILABLE, Kind.BREAKER_OPEN, Kind.NOT_NEEDED}


def test_client_gets_answers_and_refusals_that_are_its_own() -> None:
    assert {kind for kind in Kind if Outcome(kind).is_answer} == {Kind.OK, Kind.CALLER_ERROR}


@pytest.mark.parametrize("owner", KeyOwner)
@pytest.mark.parametrize(
    ("kind", "statuses"),
    [
        (Kind.OK, (200, 201, 202, 204, 299)),
        (Kind.BAD_ANSWER, (101, 103, 300, 301, 302, 304, 307, 308)),
        (Kind.CALLER_ERROR, (400, 404, 405, 408, 409, 413, 415, 418, 422, 431, 451, 499)),
        (Kind.RATE_LIMITED, (429,)),
        (Kind.SERVER_ERROR, (500, 501, 502, 503, 504, 520, 522, 524, 529, 530, 599)),
    ],
)
def test_status_means_the_same_whoever_owns_the_key(kind: Kind, statuses: tuple[int, ...], owner: KeyOwner) -> None:
    assert {kind_of_status(status, owner) for status in statuses} == {kind}


@pytest.mark.parametrize("status", [401, 402, 403])
@pytest.mark.parametrize(
    ("owner", "kind"),
    [
        (KeyOwner.UPSTREAM, Kind.OUR_KEY),
        (KeyOwner.CLIENT, Kind.CALLER_ERROR),
        (KeyOwner.NOBODY, Kind.NO_KEY),
    ],
)
def test_refused_key_is_blamed_on_its_owner(status: int, owner: KeyOwner, kind: Kind) -> None:
    assert kind_of_status(status, owner) is kind
