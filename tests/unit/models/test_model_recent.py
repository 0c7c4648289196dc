from models.server.recent import Recent


def test_result_is_made_once_while_it_is_among_the_recent() -> None:
    recent: Recent[str] = Recent(2)
    made: list[bytes] = []

    def get(key: bytes) -> str:
        return recent.get(key, lambda: made.append(key) or key.decode())

    assert [get(key) for key in (b"a", b"b", b"a", b"c", b"a", b"b")] == ["a", "b", "a", "c", "a", "b"]
    assert made == [b"a", b"b", b"c", b"b"]
