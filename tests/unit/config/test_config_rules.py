"""Rules between keys. Each case: a file, and the keys that must be faulty; none where the rule allows it."""

from textwrap import dedent

import pytest

from proxy.config.fault import ConfigInvalid
from proxy.config.load import parse

HASH = "0123456789abcdef" * 4
CLIENT = f"clients: [{{name: app, key_sha256: {HASH}}}]"


def faulty_keys(*lines: str) -> list[str]:
    try:
        parse("\n".join(dedent(line) for line in lines), {}, file="config.yaml")
    except ConfigInvalid as error:
        return [fault.key for fault in error.faults]
    return []


@pytest.mark.parametrize("listen", ["0.0.0.0:80", ":80", "[::]:80", "10.0.0.1:80", "proxy.internal:80"])
def test_open_port_without_clients_needs_open_access(listen: str) -> None:
    assert faulty_keys(f"listen: '{listen}'") == ["listen"]
    assert faulty_keys(f"listen: '{listen}'", "open_access: true") == []
    assert faulty_keys(f"listen: '{listen}'", CLIENT) == []


def test_client_names_and_keys_are_unique() -> None:
    client = f"{{name: app, key_sha256: {HASH}}}"
    assert faulty_keys(f"clients: [{client}, {client}]") == ["clients[1].name", "clients[1].key_sha256"]


def scheduled(upstream: str) -> str:
    return f"drills: {{schedule: [{{at: Tue 10:00, shape: cut, upstream: {upstream}, share: 5%, for: 2m}}]}}"


def test_scheduled_drill_needs_its_upstream() -> None:
    cloud = "upstreams: [{name: a, base_url: https://a}]"
    assert faulty_keys(cloud, scheduled("a")) == []
    assert faulty_keys(cloud, scheduled("b")) == ["drills.schedule[0].upstream"]


@pytest.mark.parametrize(
    ("local", "upstream", "is_sound"),
    [
        ("{}", "all", True),
        ("{}", "[b, a]", True),
        ("{}", "[a, local]", True),
        ("{}", "[a, c]", False),
        ("false", "[a, local]", False),
    ],
)
def test_scheduled_drill_may_have_several_upstreams(local: str, upstream: str, is_sound: bool) -> None:
    clouds = "upstreams: [{name: a, base_url: https://a}, {name: b, base_url: https://b, api_key: k}]"
    found = faulty_keys(clouds, f"local: {local}", scheduled(upstream))
    assert found == ([] if is_sound else ["drills.schedule[0].upstream"])


def test_scheduled_drill_of_all_clouds_needs_one() -> None:
    with pytest.raises(ConfigInvalid) as caught:
        parse(scheduled("all"), {}, file="config.yaml")
    (fault,) = caught.value.faults
    assert (fault.key, fault.remedy) == ("drills.schedule[0].upstream", "add one, or remove the drill")


def test_upstream_names_are_unique() -> None:
    upstream = "{name: a, base_url: https://a}"
    assert faulty_keys(f"upstreams: [{upstream}, {upstream}]") == ["upstreams[1].name"]


@pytest.mark.parametrize("name", ["local", "all"])
def test_upstream_cannot_have_a_name_that_means_something_else(name: str) -> None:
    assert faulty_keys(f"upstreams: [{{name: {name}, base_url: https://a}}]") == ["upstreams[0].name"]


def test_somebody_must_be_able_to_answer() -> None:
    assert faulty_keys("local: false") == ["local"]
    assert faulty_keys("local: false", "upstreams: [{name: a, base_url: https://a}]") == []


@pytest.mark.parametrize(
    ("credentials", "faulty"), [("", ["upstreams[0].api_key"]), ("api_key: k", []), ("client_key: drop", [])]
)
def test_keys_of_our_clients_are_never_sent_on(credentials: str, faulty: list[str]) -> None:
    assert faulty_keys(CLIENT, f"upstreams: [{{name: a, base_url: 'https://a', {credentials}}}]") == faulty


@pytest.mark.parametrize(
    ("base_url", "credentials", "faulty"),
    [
        ("https://b/v1", "", ["upstreams[1].api_key"]),
        ("http://a/v1", "", ["upstreams[1].api_key"]),
        ("https://a:444/v1", "", ["upstreams[1].api_key"]),
        ("https://a:443/v2", "", []),
        ("https://A/v2", "", []),
        ("https://b/v1", "api_key: k", []),
        ("https://b/v1", "client_key: drop", []),
    ],
)
def test_key_that_a_client_means_for_one_cloud_reaches_no_other(
    base_url: str, credentials: str, faulty: list[str]
) -> None:
    first, second = "{name: a, base_url: 'https://a/v1'}", f"{{name: b, base_url: '{base_url}', {credentials}}}"
    assert faulty_keys(f"upstreams: [{first}, {second}]") == faulty


def test_cooldown_is_no_longer_than_its_maximum() -> None:
    text = "upstreams: [{{name: a, base_url: https://a, breaker: {{cooldown: {}, max_cooldown: 10s}}}}]"
    assert faulty_keys(text.format("11s")) == ["upstreams[0].breaker.cooldown"]
    assert faulty_keys(text.format("10s")) == []


@pytest.mark.parametrize(
    ("local", "faulty"),
    [
        ("{url: 'http://h/v1', served_model: m}", []),
        ("{url: 'unix:///x.sock', served_model: m, model: null}", []),
        ("{url: 'http://h/v1', served_model: m, model: n}", ["local.url"]),
        ("{url: 'http://h/v1', served_model: m, model: smollm2-135m-instruct}", ["local.url"]),
        ("{url: 'http://h/v1'}", ["local.served_model"]),
        ("{served_model: m}", ["local.served_model"]),
        ("{model: ./model.gguf}", []),
    ],
)
def test_local_model_is_started_here_or_served_elsewhere(local: str, faulty: list[str]) -> None:
    assert faulty_keys(f"local: {local}") == faulty


@pytest.mark.parametrize("standby", ["warm", "cold"])
def test_what_rests_needs_an_upstream_that_can_wake_it(standby: str) -> None:
    local = f"local: {{standby: {standby}}}"
    elsewhere = f"local: {{standby: {standby}, url: 'http://h/v1', served_model: m}}"
    assert faulty_keys(local) == ["local.standby"]
    assert faulty_keys(local, "upstreams: [{name: a, base_url: https://a}]") == []
    assert faulty_keys(elsewhere) == []


@pytest.mark.parametrize(
    ("to", "faulty"),
    [
        ("[a, b, local]", []),
        ("[local]", []),
        ("[]", ["routes[0].to"]),
        ("[a, a]", ["routes[0].to[1]"]),
        ("[local, a]", ["routes[0].to[0]"]),
        ("[a, c]", ["routes[0].to[1]"]),
    ],
)
def test_route_names_what_exists_once_and_local_last(to: str, faulty: list[str]) -> None:
    upstreams = "upstreams: [{name: a, base_url: https://a}, {name: b, base_url: https://b, client_key: drop}]"
    assert faulty_keys(upstreams, f"routes: [{{match: 'gpt-*', to: {to}}}]") == faulty


def test_route_to_a_local_model_that_is_off_is_a_fault() -> None:
    upstreams = "upstreams: [{name: a, base_url: https://a}]"
    routes = "routes: [{match: '*', to: [a, local]}]"
    assert faulty_keys(upstreams, routes, "local: false") == ["routes[0].to[1]"]


@pytest.mark.parametrize(
    ("patterns", "faulty"),
    [(["a", "b", "*"], []), (["a", "a"], ["routes[1].match"]), (["*", "a"], ["routes[1].match"])],
)
def test_route_that_no_request_reaches_is_a_fault(patterns: list[str], faulty: list[str]) -> None:
    routes = ", ".join(f"{{match: '{pattern}', to: [local]}}" for pattern in patterns)
    assert faulty_keys(f"routes: [{routes}]") == faulty
