"""What single values mean, and what is refused."""

from collections.abc import Callable

import pytest

from proxy.config import scalar
from proxy.config.scalar import Unreadable
from proxy.config.value import Address, Secret, Url


@pytest.mark.parametrize(
    ("raw", "seconds"),
    [("2s", 2.0), ("500ms", 0.5), ("5m", 300.0), ("1h", 3600.0), ("3", 3.0), ("1.5 s", 1.5), ("0.25m", 15.0)],
)
def test_duration_is_seconds(raw: str, seconds: float) -> None:
    assert scalar.duration(raw) == seconds


@pytest.mark.parametrize("raw", ["", "2 parsecs", "-1s", "1e9", "inf", "nan", "1d", "2S", "9" * 400, "٣s", "1s\n"])
def test_duration_refuses(raw: str) -> None:
    with pytest.raises(Unreadable, match="not a duration"):
        scalar.duration(raw)


def test_duration_of_zero_is_refused_unless_a_pause() -> None:
    with pytest.raises(Unreadable, match="no time at all"):
        scalar.duration("0s")
    assert scalar.duration_or_zero("0s") == 0.0


@pytest.mark.parametrize(
    ("raw", "count"),
    [("32MiB", 32 * 1024**2), ("10MB", 10**7), ("64KiB", 65536), ("1GiB", 2**30), ("2kb", 2000), ("7", 7), ("9 B", 9)],
)
def test_size_is_bytes(raw: str, count: int) -> None:
    assert scalar.size(raw) == count


@pytest.mark.parametrize("raw", ["", "1.5MiB", "-1", "10 TB", "MiB", "1ib", "0", "0KiB", "9" * 5000])
def test_size_refuses(raw: str) -> None:
    with pytest.raises(Unreadable, match="size"):
        scalar.size(raw)


@pytest.mark.parametrize(("raw", "count"), [("auto", "auto"), ("16MiB", 2**24), ("1GiB", 2**30)])
def test_size_may_be_left_to_us(raw: str, count: object) -> None:
    assert scalar.size_or_auto(2**24)(raw) == count


@pytest.mark.parametrize(("raw", "problem"), [("8MiB", "too small"), ("much", "not a size"), ("Auto", "not a size")])
def test_size_or_auto_refuses_with_both_remedies(raw: str, problem: str) -> None:
    with pytest.raises(Unreadable, match=problem) as caught:
        scalar.size_or_auto(2**24)(raw)
    assert caught.value.remedy.endswith(", or auto")


@pytest.mark.parametrize(("raw", "seconds"), [("auto", "auto"), ("250ms", 0.25)])
def test_duration_may_be_left_to_the_program(raw: str, seconds: float | str) -> None:
    assert scalar.duration_or_auto(raw) == seconds


def test_duration_or_auto_refuses_with_both_remedies() -> None:
    with pytest.raises(Unreadable, match="no time") as caught:
        scalar.duration_or_auto("0s")
    assert caught.value.remedy.endswith(", or auto")


@pytest.mark.parametrize(("raw", "seconds"), [("off", None), ("1s", 1.0), ("5m", 300.0)])
def test_duration_may_be_off(raw: str, seconds: float | None) -> None:
    assert scalar.duration_or_off(1.0)(raw) == seconds


@pytest.mark.parametrize(("raw", "problem"), [("500ms", "too short"), ("0s", "no time"), ("false", "not a duration")])
def test_duration_or_off_refuses_with_both_remedies(raw: str, problem: str) -> None:
    with pytest.raises(Unreadable, match=problem) as caught:
        scalar.duration_or_off(1.0)(raw)
    assert caught.value.remedy.endswith(", or off")


@pytest.mark.parametrize(("raw", "share"), [("0", 0.0), ("1", 1.0), ("0.5", 0.5), (".5", 0.5)])
def test_ratio_is_a_share_of_one(raw: str, share: float) -> None:
    assert scalar.ratio(raw) == share


@pytest.mark.parametrize("raw", ["1.01", "-0.1", "50%", "nan", ""])
def test_ratio_refuses(raw: str) -> None:
    with pytest.raises(Unreadable):
        scalar.ratio(raw)


@pytest.mark.parametrize("raw", ["yes", "no", "on", "True", "1", ""])
def test_flag_has_two_spellings_only(raw: str) -> None:
    with pytest.raises(Unreadable):
        scalar.flag(raw)


@pytest.mark.parametrize("raw", ["255", "1025", "0x200", "5e2", "1_000", ""])
def test_whole_number_outside_its_range_is_refused(raw: str) -> None:
    with pytest.raises(Unreadable, match=r"range|whole"):
        scalar.whole(256, 1024)(raw)


def test_auto_is_a_word_or_a_number() -> None:
    parse = scalar.whole_or_auto(1)
    assert (parse("auto"), parse("4")) == ("auto", 4)
    with pytest.raises(Unreadable) as caught:
        parse("0")
    assert caught.value.remedy.endswith("or auto")


@pytest.mark.parametrize(
    ("raw", "host", "port"),
    [
        ("127.0.0.1:8080", "127.0.0.1", 8080),
        ("[::1]:80", "::1", 80),
        (":8080", "", 8080),
        ("localhost:0", "localhost", 0),
        ("proxy.internal:65535", "proxy.internal", 65535),
    ],
)
def test_address_is_host_and_port(raw: str, host: str, port: int) -> None:
    assert scalar.address(raw) == (host, port)


@pytest.mark.parametrize("raw", ["8080", "host", "::1:80", "[::g]:80", "h:65536", "h:-1", "a b:1", "http://h:1", ""])
def test_address_refuses(raw: str) -> None:
    with pytest.raises(Unreadable):
        scalar.address(raw)


@pytest.mark.parametrize(
    ("raw", "is_loopback"),
    [
        ("127.0.0.1:1", True),
        ("127.9.9.9:1", True),
        ("[::1]:1", True),
        ("localhost:1", True),
        (":1", False),
        ("0.0.0.0:1", False),
        ("[::]:1", False),
        ("localhost.example.com:1", False),
    ],
)
def test_only_loopback_counts_as_loopback(raw: str, is_loopback: bool) -> None:
    assert scalar.address(raw).is_loopback is is_loopback


def test_address_writes_ipv6_in_brackets() -> None:
    assert str(Address("::1", 80)) == "[::1]:80"


@pytest.mark.parametrize(
    ("raw", "text", "origin"),
    [
        ("https://api.openai.com/v1/", "https://api.openai.com/v1", "https://api.openai.com:443"),
        ("HTTP://Host/v1", "http://Host/v1", "http://host:80"),
        ("http://[::1]:81", "http://[::1]:81", "http://[::1]:81"),
        ("unix:///run/model.sock", "unix:///run/model.sock", "unix:///run/model.sock"),
    ],
)
def test_url_loses_its_last_slash_and_knows_its_origin(raw: str, text: str, origin: str) -> None:
    url = scalar.url(raw)
    assert (str(url), url.origin) == (text, origin)


def test_url_of_unix_socket_has_a_path_and_no_port() -> None:
    url = scalar.url("unix:///run/model.sock")
    assert url == Url("unix", "", 0, "/run/model.sock", "unix:///run/model.sock")


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "api.openai.com",
        "ftp://h",
        "https://",
        "https:///v1",
        "https://h:0",
        "https://h:x",
        "https://h:99999",
        "https://a b",
        "https://h\\@evil",
        "https://h\n",
        "https://h/v1?",
        "https://h/#x",
        "unix://run/x",
        "unix:///",
        "https://[::1",
        "https://ex%41mple.com",
        "https://höst",
    ],
)
def test_url_refuses(raw: str) -> None:
    with pytest.raises(Unreadable):
        scalar.url(raw)


@pytest.mark.parametrize("raw", ["https://user:sk-1@h/v1", "https://h/v1?key=sk-1", "https://u:sk-1@h:port/v1"])
def test_url_that_may_hold_a_key_is_not_shown(raw: str) -> None:
    with pytest.raises(Unreadable) as caught:
        scalar.url(raw)
    assert caught.value.hidden


def test_secret_is_stripped_of_white_space() -> None:
    assert scalar.secret("  sk-1\n").reveal() == "sk-1"


@pytest.mark.parametrize("raw", ["sk\n1", "sk\r\nHost: evil", "a\x00b", "a\x7fb", "sk-“1”", "a\u200bb"])
def test_secret_that_could_inject_a_header_is_refused_unseen(raw: str) -> None:
    with pytest.raises(Unreadable) as caught:
        scalar.secret(raw)
    assert caught.value.hidden


def test_secret_shows_in_no_text() -> None:
    secret = Secret("sk-1")
    assert f"{secret} {secret!r} {[secret]}" == "Secret(***) Secret(***) [Secret(***)]"


def test_secret_compares_by_its_text() -> None:
    assert len({Secret("a"), Secret("a"), Secret("b")}) == 2


def test_empty_secret_is_false() -> None:
    assert not Secret("")


@pytest.mark.parametrize(
    "raw", ["Host", "content-length", "Connection", "TE", "Authorization", "a b", "a:b", "", "x\n"]
)
def test_header_name_refuses(raw: str) -> None:
    with pytest.raises(Unreadable):
        scalar.header_name(raw)


def test_header_name_is_lower_case() -> None:
    assert scalar.header_name("OpenAI-Organization") == "openai-organization"


def test_sha256_is_never_shown_when_it_may_be_the_key() -> None:
    with pytest.raises(Unreadable) as caught:
        scalar.sha256_hex("sk-plain-key")
    assert caught.value.hidden
    assert "sha256sum" in caught.value.remedy


@pytest.mark.parametrize("raw", ["OpenAI", "-a", "a b", "a.b", "", "ä"])
def test_identifier_refuses(raw: str) -> None:
    with pytest.raises(Unreadable):
        scalar.identifier(raw)


@pytest.mark.parametrize("parse", [scalar.text, scalar.one_of("a", "b")])
def test_empty_text_is_refused(parse: Callable[[str], str]) -> None:
    with pytest.raises(Unreadable):
        parse("")


@pytest.mark.parametrize(("raw", "share"), [("5%", 0.05), ("0.05", 0.05), ("100%", 1.0), ("1", 1.0), ("2.5 %", 0.025)])
def test_share_is_a_percentage_or_a_ratio(raw: str, share: float) -> None:
    assert scalar.share(raw) == pytest.approx(share)


@pytest.mark.parametrize("raw", ["", "0", "0%", "101%", "1.1", "-5%", "%", "five", "nan", "5%%"])
def test_share_refuses(raw: str) -> None:
    with pytest.raises(Unreadable, match="not a share"):
        scalar.share(raw)


@pytest.mark.parametrize(
    ("raw", "moment"), [("Tue 10:00", (1, 10, 0)), ("mon 0:05", (0, 0, 5)), ("SUN 23:59", (6, 23, 59))]
)
def test_week_time_is_a_day_and_an_hour(raw: str, moment: tuple[int, int, int]) -> None:
    assert scalar.week_time(raw) == moment


@pytest.mark.parametrize("raw", ["", "Tuesday 10:00", "Tue", "10:00", "Tue 24:00", "Tue 10:60", "Tue 10", "Die 10:00"])
def test_week_time_refuses(raw: str) -> None:
    with pytest.raises(Unreadable, match="not a time of the week"):
        scalar.week_time(raw)


def test_duration_may_have_a_limit() -> None:
    assert scalar.duration_at_most(60)("1m") == 60.0
    with pytest.raises(Unreadable, match="too long"):
        scalar.duration_at_most(60)("61s")
