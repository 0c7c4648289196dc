"""The configuration of the local model, as its server's command line."""

from pathlib import Path

import pytest

from proxy.config.load import parse
from proxy.spare import model_server_settings, served_model

CLOUD = "upstreams: [{name: cloud, base_url: 'https://cloud.test/v1', api_key: k}]"


def arguments(local: str) -> tuple[str, ...]:
    config = parse(f"{CLOUD}\nlocal: {{{local}}}", {}, file="test.yaml")
    assert config.local
    return model_server_settings(config.local, config, Path("/run")).arguments


@pytest.mark.parametrize(
    ("local", "flag", "value"),
    [
        ("", "--parallel", "auto"),
        ("parallel: 8", "--parallel", "8"),
        ("", "--kv-memory", "auto"),
        ("kv_memory: 1GiB", "--kv-memory", "1024"),
        ("", "--canary", "300"),
        ("canary: 1500ms", "--canary", "2"),
        ("canary: off", "--canary", "0"),
        ("", "--convert", "auto"),
        ("convert: off", "--convert", "off"),
        ("", "--amx", "auto"),
        ("amx: off", "--amx", "off"),
    ],
)
def test_key_becomes_a_flag_with_its_value(local: str, flag: str, value: str) -> None:
    given = arguments(local)
    assert given[given.index(flag) + 1] == value


@pytest.mark.parametrize(
    ("local", "flag"),
    [("share_prefixes: true", "--share-prefixes"), ("pull: false", "--no-pull")],
)
def test_flag_without_a_value_is_given_only_on_demand(local: str, flag: str) -> None:
    assert flag in arguments(local)
    assert flag not in arguments("")


@pytest.mark.parametrize("standby", ["hot", "warm", "cold"])
def test_standby_is_the_supervisors_business(standby: str) -> None:
    config = parse(f"{CLOUD}\nlocal: {{standby: {standby}}}", {}, file="test.yaml")
    assert config.local
    settings = model_server_settings(config.local, config, Path("/run"))
    assert (settings.standby, settings.socket) == (standby, "/run/model.sock")
    assert "--standby" not in settings.command


@pytest.mark.parametrize(
    ("model", "name"), [("smollm2-135m-instruct", "smollm2-135m-instruct"), ("/models/big.Q8_0.gguf", "big.Q8_0")]
)
def test_model_is_called_by_its_name_or_the_stem_of_its_file(model: str, name: str) -> None:
    config = parse(f"local: {{model: {model}}}", {}, file="test.yaml")
    assert config.local
    assert served_model(config.local) == name
