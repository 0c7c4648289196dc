"""One request a second is looked into."""

from proxy.core.beginnings import Beginning
from proxy.server.sampler import Sampler

BODY = b'{"model":"m","messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"Hi"}]}'
FOUND = Beginning("app", b'{"messages":[{"role":"system","content":"Be brief."}]}')


def test_sample_is_told_with_its_client() -> None:
    told: list[Beginning] = []
    Sampler(told.append).take("app", BODY, 100.0)
    assert told == [FOUND]


def test_next_one_is_due_a_second_later_whatever_was_found() -> None:
    told: list[Beginning] = []
    sampler = Sampler(told.append)
    assert sampler.due_at <= 100.0
    sampler.take("app", b"{}", 100.0)
    assert (sampler.due_at, told) == (101.0, [])
