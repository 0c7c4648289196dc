"""A model server that hangs whenever it starts: a real process that is never ready and never ends by itself."""

from pathlib import Path

import pytest

from proxy.upstreams.local import ModelServerSettings
from tests.integration.stillborn import ends_of

pytestmark = pytest.mark.slow

SAYINGS = {
    "silent": "",
    "silent once it loads": """echo '{"event": "phase", "phase": "loading"}'""",
    "in its first step": """echo '{"event": "beat", "step_age_seconds": 99}'""",
}


@pytest.mark.parametrize("saying", SAYINGS.values(), ids=SAYINGS)
async def test_nobody_waits_for_a_model_server_that_hangs_whenever_it_starts(
    saying: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = ModelServerSettings((), str(tmp_path / "s"), heartbeat_seconds=0.1, hang_seconds=1)
    ends = await ends_of(f"{saying}\nexec sleep 600", settings, tmp_path, monkeypatch)
    assert len(ends) == 3
    assert all(end.endswith("killed") for end in ends)
