"""Whatever the file says, reading it ends in a Config or in faults that give nothing away."""

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.config import scalar
from proxy.config.environment import expand
from proxy.config.fault import ConfigInvalid
from proxy.config.load import parse
from proxy.config.schema import Config
from proxy.config.value import Address

KEYS = st.sampled_from(
    [
        "listen",
        "admin",
        "open_access",
        "workers",
        "fast_lane",
        "clients",
        "upstreams",
        "local",
        "routes",
        "limits",
        "log",
        "name",
        "base_url",
        "api_key",
        "headers",
        "max_connections",
        "models",
        "timeouts",
        "connect",
        "breaker",
        "match",
        "to",
        "model",
        "url",
        "deadline",
        "x",
    ]
)
SCALARS = st.sampled_from(
    [
        "~",
        "''",
        "true",
        "false",
        "auto",
        "3",
        "-1",
        "2s",
        "1MiB",
        ":80",
        "openai",
        "local",
        "https://a/v1",
        '"${X}"',
        "$$",
        "!t",
    ]
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]")
        | st.lists(st.tuples(KEYS, inner), max_size=4).map(
            lambda entries: "{" + ", ".join(f"{key}: {value}" for key, value in entries) + "}"
        )
    ),
    max_leaves=12,
)
DOCUMENTS = st.lists(st.tuples(KEYS, VALUES), max_size=6).map(
    lambda entries: "".join(f"{key}: {value}\n" for key, value in entries)
)


def read(text: str) -> Config | ConfigInvalid:
    try:
        return parse(text, {"X": "from-the-environment"}, file="f")
    except ConfigInvalid as error:
        return error


@pytest.mark.slow
@settings(deadline=None)
@given(st.text() | DOCUMENTS)
def test_any_text_gives_a_config_or_faults_with_remedies(text: str) -> None:
    result = read(text)
    assert isinstance(result, Config) or all(fault.problem and fault.remedy for fault in result.faults)
    assert not isinstance(result, ConfigInvalid) or result.faults


@pytest.mark.slow
@settings(deadline=None)
@given(DOCUMENTS)
def test_no_fault_repeats_the_environment(text: str) -> None:
    result = read(text)
    assert isinstance(result, Config) or "from-the-environment" not in str(result)


@pytest.mark.slow
@settings(deadline=None)
@given(DOCUMENTS)
def test_faults_stand_in_the_lines_of_the_file(text: str) -> None:
    result = read(text)
    lines = range(1, text.count("\n") + 2)
    assert isinstance(result, Config) or all(fault.line in lines for fault in result.faults)


@settings(deadline=None)
@given(st.integers(1, 10**9 - 1), st.sampled_from([("ms", 0.001), ("s", 1), ("m", 60), ("h", 3600)]))
def test_duration_is_number_times_unit(number: int, unit: tuple[str, float]) -> None:
    assert scalar.duration(f"{number}{unit[0]}") == number * unit[1]


@settings(deadline=None)
@given(st.integers(1, 10**12), st.sampled_from([("", 1), ("KB", 1000), ("KiB", 1024), ("MiB", 1024**2)]))
def test_size_is_number_times_unit(number: int, unit: tuple[str, int]) -> None:
    assert scalar.size(f"{number}{unit[0]}") == number * unit[1]


@settings(deadline=None)
@given(st.ip_addresses().map(str) | st.just(""), st.integers(0, 65535))
def test_address_reads_what_it_writes(host: str, port: int) -> None:
    address = Address(host, port)
    assert scalar.address(str(address)) == address


@settings(deadline=None)
@given(st.text())
def test_doubled_dollars_protect_any_text(text: str) -> None:
    assert expand(text.replace("$", "$$"), {}) == text


@settings(deadline=None)
@given(st.text(alphabet=string.printable + "é\u200b\x7f"))
def test_secret_never_holds_what_could_end_a_header(text: str) -> None:
    try:
        revealed = scalar.secret(text).reveal()
    except scalar.Unreadable:
        return
    assert all(" " <= character <= "~" for character in revealed)
