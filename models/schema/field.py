"""What a keyword of a schema holds: of the form that it has to have, or a fault that names it."""

from collections.abc import Mapping
from decimal import Decimal

from models.schema.document import check_number
from models.schema.fault import Fault, below

Schema = Mapping[str, object]


def decimal(node: Schema, keyword: str, at: str) -> Decimal | None:
    """A number, exactly; None where the schema has none."""
    value = node.get(keyword)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Fault(below(at, keyword), "must be a number")
    check_number(value, below(at, keyword))
    return Decimal(repr(value))


def count(node: Schema, keyword: str, at: str) -> int | None:
    """A whole number from 0 on; None where the schema has none."""
    value = node.get(keyword)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0 or value != value // 1:
        raise Fault(below(at, keyword), "must be a whole number from 0 on")
    check_number(value, below(at, keyword))
    return int(value)


def strings(node: Schema, keyword: str, at: str) -> tuple[str, ...]:
    """The text of a keyword, or none."""
    value = node.get(keyword)
    if not isinstance(value, str | None):
        raise Fault(below(at, keyword), "must be a string")
    return () if value is None else (value,)


def array(node: Schema, keyword: str, at: str) -> list[object]:
    """An array, empty where the schema has none."""
    value = node.get(keyword, [])
    if not isinstance(value, list):
        raise Fault(below(at, keyword), "must be an array")
    return value


def mapping(node: Schema, keyword: str, at: str) -> Mapping[str, object]:
    """An object, likewise."""
    value = node.get(keyword, {})
    if not isinstance(value, Mapping):
        raise Fault(below(at, keyword), "must be an object")
    return value


def names(value: object, at: str) -> list[str]:
    """Different strings, each once."""
    if not isinstance(value, list):
        raise Fault(at, "must be an array of names")
    names = [name for name in value if isinstance(name, str)]
    if len(names) != len(value):
        raise Fault(at, "must be an array of names")
    return list(dict.fromkeys(names))
