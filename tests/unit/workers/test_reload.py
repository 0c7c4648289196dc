"""What a configuration that is read anew may change."""

import pytest

from proxy.config.fault import ConfigInvalid
from proxy.config.load import Source
from proxy.workers.reload import effective

CLOUD = "upstreams: [{name: cloud, base_url: 'https://cloud.test/v1', api_key: k}]\n"
STARTED = f"workers: 2\nlisten: 127.0.0.1:8080\n{CLOUD}"


def reload(wanted: str, started: str = STARTED):
    return effective(Source("hotspare.yaml", started), Source("hotspare.yaml", wanted), {})


def test_same_text_changes_nothing() -> None:
    result = reload(STARTED)
    assert (result.unheeded, result.config.workers) == ((), 2)


def test_upstreams_routes_and_limits_change() -> None:
    result = reload(STARTED.replace("cloud.test", "other.test") + "limits: {drain: 3s}")
    assert result.config.upstreams[0].base_url.host == "other.test"
    assert result.config.limits.drain_seconds == 3.0
    assert result.unheeded == ()


def test_what_the_fleet_holds_stays_and_is_named() -> None:
    wanted = (
        f"workers: 4\nlisten: 127.0.0.1:9090\nadmin: {{listen: '127.0.0.1:9091'}}\nlocal: {{context: 512}}\n{CLOUD}"
    )
    result = reload(wanted)
    assert result.unheeded == ("listen", "admin", "workers", "local")
    assert (result.config.workers, result.config.listen.port, result.config.admin) == (2, 8080, None)


def test_route_to_a_local_model_that_was_never_started_is_refused() -> None:
    with pytest.raises(ConfigInvalid, match="local can only change by a restart; restart hotspare"):
        reload(f"{STARTED}routes: [{{match: '*', to: [cloud, local]}}]", started=f"{STARTED}local: false")


def test_faulty_text_is_refused_with_its_faults() -> None:
    with pytest.raises(ConfigInvalid, match=r"hotspare\.yaml:1: workers: "):
        reload("workers: many")
