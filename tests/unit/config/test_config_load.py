"""From text to `Config`: what comes out, and what a fault says."""

from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent

import pytest

from proxy.config.fault import ConfigInvalid, Fault
from proxy.config.load import load, parse
from proxy.config.schema import Config
from proxy.core.action import Timeouts

OPENAI = """
upstreams:
  - name: openai
    base_url: https://api.openai.com/v1
"""


def read(text: str, environment: Mapping[str, str] | None = None) -> Config:
    return parse(dedent(text), environment or {}, file="config.yaml")


def faults_of(text: str, environment: Mapping[str, str] | None = None) -> tuple[Fault, ...]:
    with pytest.raises(ConfigInvalid) as caught:
        read(text, environment)
    return caught.value.faults


def places_of(text: str) -> list[tuple[int | None, str]]:
    return [(fault.line, fault.key) for fault in faults_of(text)]


@pytest.mark.parametrize("text", ["", "# nothing but prose\n", "---\n", "null\n", "{}\n"])
def test_empty_file_is_the_defaults(text: str) -> None:
    assert read(text) == Config()


def test_file_is_read_with_its_environment(tmp_path: Path) -> None:
    path = tmp_path / "hotspare.yaml"
    path.write_text("listen: ${HOST}:81\n", encoding="utf-8")
    assert load(path, {"HOST": "127.0.0.2"}).listen == ("127.0.0.2", 81)


def test_file_that_is_absent_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match=r"absent\.yaml: cannot be read: No such file"):
        load(tmp_path / "absent.yaml", {})


def test_file_that_is_not_utf8_is_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "latin.yaml"
    path.write_bytes(b"listen: \xff")
    with pytest.raises(ConfigInvalid, match="not UTF-8"):
        load(path, {})


def test_fault_reads_as_file_line_key_problem_remedy() -> None:
    (fault,) = faults_of(OPENAI + "    timeouts:\n      connect: 2 parsecs\n")
    assert str(fault) == (
        "config.yaml:6: upstreams[0].timeouts.connect: '2 parsecs' is not a duration; "
        "write a number with ms, s, m or h, as in 2s"
    )


def test_all_faults_come_at_once_in_the_order_of_the_file() -> None:
    text = """\
    listen: nowhere
    upstreams:
      - name: Open AI
        base_url: ftp://x
      - base_url: https://b
        timeouts: 3s
    log: {level: loud}
    limits: {deadline: 0s}
    """
    assert places_of(text) == [
        (1, "listen"),
        (3, "upstreams[0].name"),
        (4, "upstreams[0].base_url"),
        (5, "upstreams[1].name"),
        (6, "upstreams[1].timeouts"),
        (7, "log.level"),
        (8, "limits.deadline"),
    ]


def test_error_lists_every_fault_on_a_line_of_its_own() -> None:
    with pytest.raises(ConfigInvalid) as caught:
        read("listen: x\nlog: {level: y}\n")
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize(
    ("key", "remedy"), [("listne: x", "did you mean listen?"), ("zzz: x", "remove it; the keys here are listen, admin")]
)
def test_unknown_key_names_the_nearest_known_one(key: str, remedy: str) -> None:
    (fault,) = faults_of(key)
    assert fault.remedy.startswith(remedy)


def test_misspelt_section_causes_no_faults_elsewhere() -> None:
    text = """
    upstrems: []
    local: false
    routes: [{match: "*", to: [openai]}]
    """
    assert [fault.key for fault in faults_of(text)] == ["upstrems"]


def test_faulty_section_causes_no_faults_in_what_refers_to_it() -> None:
    text = """
    upstreams: [{name: openai}]
    local: false
    routes: [{match: "*", to: [openai]}]
    """
    assert [fault.key for fault in faults_of(text)] == ["upstreams[0].base_url"]


def test_duplicate_key_names_the_first_line() -> None:
    (fault,) = faults_of("open_access: true\nopen_access: false\n")
    assert (fault.line, fault.problem) == (2, "stands there twice, first in line 1")


def test_headers_that_differ_by_case_only_are_duplicates() -> None:
    (fault,) = faults_of(OPENAI + "    headers: {X-A: '1', x-a: '2'}\n")
    assert fault.key == "upstreams[0].headers.x-a"


@pytest.mark.parametrize(
    ("text", "line"),
    [("listen: [\n", 2), ("a: b: c\n", 1), ("listen: x\n\tadmin: y\n", 2), ("a: *b\n", 1), ("a\n--- b", 2)],
)
def test_syntax_error_has_its_line(text: str, line: int) -> None:
    (fault,) = faults_of(text)
    assert (fault.line, fault.problem.startswith("is not YAML")) == (line, True)


@pytest.mark.parametrize("text", ["listen: !ENV x", "a: !!python/object/apply:os.system [id]", "!x {}"])
def test_tag_is_a_fault(text: str) -> None:
    (fault,) = faults_of(text)
    assert "has the tag" in fault.problem


@pytest.mark.parametrize("text", ["[" * 500 + "]" * 500, "a: \x01"])
def test_text_that_no_parser_takes_is_a_fault(text: str) -> None:
    assert len(faults_of(text)) == 1


def test_control_character_is_named_with_its_line() -> None:
    (fault,) = faults_of("listen: 127.0.0.1:1\nworkers: \x072\n")
    assert (fault.line, fault.problem, fault.remedy) == (2, "holds the control character U+0007", "remove it")


def test_anchor_is_shared() -> None:
    config = read("""
    upstreams:
      - {name: a, base_url: https://a, client_key: drop, timeouts: &slow {stall: 1m}}
      - {name: b, base_url: https://b, client_key: drop, timeouts: *slow}
    """)
    assert [upstream.timeouts.stall_seconds for upstream in config.upstreams] == [60.0, 60.0]


def test_anchor_that_holds_itself_is_a_fault_like_any_other() -> None:
    assert places_of("upstreams: &loop [*loop]\n") == [(1, "upstreams[0]")]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[]", "is a list, not a section"),
        ("upstreams: {}", "is a section, not a list"),
        ("upstreams: 3", "is a single value, not a list"),
        ("upstreams: [x]", "is a single value, not a section"),
        ("listen: [x]", "is a list, not a single value"),
        ("local: true", "is a single value, not a section"),
        ("upstreams: [null]", "is an empty item"),
        ("{[a]: b}", "has a key that is not a word"),
    ],
)
def test_wrong_shape_is_a_fault(text: str, problem: str) -> None:
    (fault,) = faults_of(text)
    assert fault.problem == problem


def test_section_keeps_its_own_defaults_for_keys_that_are_left_out() -> None:
    config = read("local: {timeouts: {connect: 1s}}")
    assert config.local is not None
    assert config.local.timeouts == Timeouts(connect_seconds=1.0, first_content_seconds=60.0, stall_seconds=30.0)


@pytest.mark.parametrize(("text", "is_learnt", "seconds"), [("", True, 10.0), ("auto", True, 10.0), ("3s", False, 3.0)])
def test_limit_that_the_file_names_is_not_learnt(text: str, is_learnt: bool, seconds: float) -> None:
    (upstream,) = read(OPENAI + f"    timeouts: {{first_content: {text}, stall: 7s}}\n").upstreams
    assert (upstream.timeouts.first_content_seconds == "auto") is is_learnt
    assert upstream.timeouts.until_learnt == Timeouts(first_content_seconds=seconds, stall_seconds=7.0)


def test_text_means_what_its_key_says_not_what_yaml_guesses() -> None:
    config = read(OPENAI + "    models: {no: 1.10, 2024-08-06: yes}\n")
    assert config.upstreams[0].models == {"no": "1.10", "2024-08-06": "yes"}


@pytest.mark.parametrize("null", ["", "~", "null", "${NOT_SET:-}"])
def test_null_is_as_if_the_key_were_left_out(null: str) -> None:
    assert read(f"listen: {null}\n") == Config()


@pytest.mark.parametrize("null", ["", "~", "${EMPTY}", "${NOT_SET:-}"])
def test_required_key_without_a_value_is_not_called_missing(null: str) -> None:
    (fault,) = faults_of(f"upstreams:\n  - name: a\n    base_url: {null}\n", {"EMPTY": ""})
    assert (fault.line, fault.key, fault.problem) == (3, "upstreams[0].base_url", "has no value")


def test_local_false_switches_it_off() -> None:
    assert read(OPENAI + "local: false\n").local is None


def test_environment_cannot_add_keys() -> None:
    (fault,) = faults_of("listen: ${X}", {"X": "127.0.0.1:1\nopen_access: true"})
    assert fault.key == "listen"


@pytest.mark.parametrize(
    "line", ["api_key: ${KEY}", "base_url: ${KEY}", "timeouts: {connect: '${KEY}'}", "probe: ${KEY}"]
)
def test_value_from_the_environment_shows_in_no_fault(line: str) -> None:
    text = f"upstreams:\n  - name: a\n    {line}\n"
    assert "sk-secret" not in "".join(map(str, faults_of(text, {"KEY": "sk-secret\n?"})))


@pytest.mark.parametrize(
    "line", ["api_key: 'sk-secret\\x07'", "base_url: https://u:sk-secret@h", "headers: {x: 'sk-secret☃'}"]
)
def test_key_in_the_file_shows_in_no_fault(line: str) -> None:
    text = f"upstreams:\n  - name: a\n    {line}\n".replace("'sk-secret\\x07'", '"sk-secret\\x07"')
    assert "sk-secret" not in "".join(map(str, faults_of(text)))


def test_config_shows_no_key() -> None:
    config = read(OPENAI + "    api_key: sk-secret\n    headers: {x-key: sk-secret}\n")
    assert "sk-secret" not in f"{config} {config!r}"


def test_upstream_headers_and_models_cannot_be_changed() -> None:
    upstream = read(OPENAI).upstreams[0]
    with pytest.raises(TypeError):
        upstream.models["a"] = "b"  # type: ignore[index]


def test_unset_variable_is_a_fault_that_names_it() -> None:
    (fault,) = faults_of(OPENAI + "    api_key: ${OPENAI_API_KEY}\n")
    assert "OPENAI_API_KEY, which is not set" in fault.problem


def test_long_value_is_cut_in_its_fault() -> None:
    (fault,) = faults_of(f"listen: {'x' * 10_000}")
    assert len(str(fault)) < 250


@pytest.mark.parametrize("admin", ["", "admin: {listen: 127.0.0.1:8080}"])
def test_admin_shares_the_port_when_it_says_the_same(admin: str) -> None:
    assert read(admin).admin_listen is None


@pytest.mark.parametrize("port", [0, 9090])
def test_admin_has_its_own_port(port: int) -> None:
    config = read(f"listen: 127.0.0.1:0\nadmin: {{listen: 127.0.0.1:{port}}}")
    assert config.admin_listen == ("127.0.0.1", port)


def test_models_without_a_route_go_to_everybody_and_local_last() -> None:
    config = read(OPENAI + "routes: [{match: gpt-*, to: [openai]}]")
    assert [(route.match, route.to) for route in config.effective_routes] == [
        ("gpt-*", ("openai",)),
        ("*", ("openai", "local")),
    ]


def test_default_route_leaves_out_a_local_model_that_is_off() -> None:
    assert read(OPENAI + "local: false").default_route.to == ("openai",)


def test_misspelt_section_silences_only_the_rules_that_read_it() -> None:
    assert places_of("listen: 0.0.0.0:80\nupstream: []\n") == [(1, "listen"), (2, "upstream")]


@pytest.mark.parametrize(("text", "workers"), [("", 1), ("workers: 4", 4), ("workers: auto", "auto")])
def test_workers_are_a_number_or_auto(text: str, workers: int | str) -> None:
    assert read(text).workers == workers


@pytest.mark.parametrize("text", ["workers: 0", "workers: 257", "workers: many", "workers: -1"])
def test_number_of_workers_is_bounded(text: str) -> None:
    (fault,) = faults_of(text)
    assert (fault.key, fault.remedy) == (
        "workers",
        "write a whole number of at least 1 and at most 256, or auto",
    )


def test_connections_are_not_limited_unless_said() -> None:
    assert read(OPENAI).upstreams[0].max_connections is None
    assert read(f"{OPENAI}    max_connections: 100").upstreams[0].max_connections == 100
