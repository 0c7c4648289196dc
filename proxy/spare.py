"""The local model that we start ourselves, from its section of the configuration: how, where, and under which name."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from proxy.clock import Clock
from proxy.config.schema import Config, LocalSettings
from proxy.telemetry import log
from proxy.upstreams.local import ModelServer, ModelServerSettings
from proxy.upstreams.primer import Primer

_SOCKET: Final = "model.sock"
_MEBIBYTE: Final = 2**20


def served_model(local: LocalSettings) -> str:
    """The name that the local server answers to: as configured, or the stem of the file."""
    if local.served_model:
        return local.served_model
    return Path(local.model).stem if local.model.endswith(".gguf") or "/" in local.model else local.model


def model_url(folder: Path) -> str:
    """Where the model server listens whose socket lies in `folder`."""
    return f"unix://{folder / _SOCKET}"


def build_primer(local: LocalSettings, server: ModelServer, folder: Path, clock: Clock) -> Primer:
    """Who tells the model server how conversations begin; its socket lies in `folder`."""
    return Primer(server, model_url(folder), served_model(local), clock)


def model_server_settings(local: LocalSettings, config: Config, folder: Path) -> ModelServerSettings:
    """How the model server is started; its socket lies in `folder`."""
    flags = {"--no-pull": not local.pull, "--share-prefixes": local.share_prefixes}
    given = (flag for flag, is_given in flags.items() if is_given)
    options = (str(part) for option in _options(local, config).items() for part in option)
    return ModelServerSettings(
        arguments=(*options, *given),
        socket=str(folder / _SOCKET),
        heartbeat_seconds=local.heartbeat_seconds,
        hang_seconds=local.hang_seconds,
        standby=local.standby,
        precautions=("--amx", "off") if local.amx == "auto" else (),
    )


def _options(local: LocalSettings, config: Config) -> Mapping[str, object]:
    memory = local.kv_memory_bytes
    return {
        "--model": local.model,
        "--context": local.context,
        "--threads": local.threads,
        "--gpu-layers": local.gpu_layers,
        "--parallel": local.parallel,
        "--kv-memory": memory if memory == "auto" else memory // _MEBIBYTE,
        "--queue": local.queue,
        "--convert": local.convert,
        "--amx": local.amx,
        "--canary": math.ceil(local.canary_seconds or 0),
        "--log-level": config.log.level,
        "--log-format": log.resolved(config.log.format),
    }
