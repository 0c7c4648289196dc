"""`${NAME}`, `${NAME:-default}` and `$$` inside the texts of the file.

As in a shell, the default also stands in for a variable that is set but empty. A `$` before anything else is itself.
Values are put in after the YAML has been read, so no value can add keys, and only values, never keys, are replaced.
"""

import re
from collections.abc import Mapping
from typing import Final

from proxy.config.scalar import Unreadable

_REFERENCE: Final = re.compile(
    r"""\$(?: (?P<escape>\$)
           | \{ (?P<name>[A-Za-z_][A-Za-z0-9_]*) (?: :- (?P<default>[^}]*) )? \}
           | \{ )""",
    re.VERBOSE,
)
_REMEDY: Final = "write ${NAME} or ${NAME:-default}, or $${ for a plain ${"


def expand(raw: str, environment: Mapping[str, str]) -> str:
    """`raw` with its references replaced. Raises Unreadable for an unset variable without default or a broken `${`."""
    return _REFERENCE.sub(lambda found: _replacement(found, environment), raw)


def _replacement(found: re.Match[str], environment: Mapping[str, str]) -> str:
    if found["escape"]:
        return "$"
    name, default = found["name"], found["default"]
    if name is None:
        raise Unreadable("has a ${ that is no reference", _REMEDY, hidden=True)
    if default is not None:
        return environment.get(name) or default
    if name not in environment:
        remedy = f"set {name}, or give a default as in ${{{name}:-}}"
        raise Unreadable(f"needs the environment variable {name}, which is not set", remedy, hidden=True)
    return environment[name]
