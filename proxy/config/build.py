"""Nodes and the schema to dataclasses. Knows no key by name; the fields and their types say everything.

A faulty value is replaced by its default, so that one reading finds all faults. Where there is no default, the section
or item that needs it does not come about.
"""

import dataclasses
import difflib
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType, NoneType, UnionType
from typing import Annotated, Any, Final, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from proxy.config import scalar
from proxy.config.document import Place
from proxy.config.reading import Reading, Rejected
from proxy.config.value import Address, Secret, Url

T = TypeVar("T")

_BY_NAME: Final[Mapping[str, Callable[[str], object]]] = MappingProxyType(
    {"seconds": scalar.duration, "bytes": scalar.size, "ratio": scalar.ratio}
)
_BY_TYPE: Final[Mapping[object, Callable[[str], object]]] = MappingProxyType(
    {
        str: scalar.text,
        bool: scalar.flag,
        int: scalar.whole(1),
        Secret: scalar.secret,
        Address: scalar.address,
        Url: scalar.url,
    }
)
_NOTHING: Final = dataclasses.MISSING


def key_of(field_name: str) -> str:
    """The file's key for a field: its name without the unit."""
    return field_name.removesuffix("_seconds").removesuffix("_bytes")


def is_section(hint: object) -> bool:
    """Whether a field of this type is a section of keys, not a value."""
    return dataclasses.is_dataclass(hint) and hint not in _BY_TYPE


def build(kind: type[T], root: Place, reading: Reading) -> T:
    """The document at `root` as `kind`, whose fields must all have defaults. Sound only if `reading` has no faults."""
    try:
        return _section(kind, root, reading, default=_NOTHING)
    except Rejected:
        return kind()


def _section(kind: type[T], place: Place, reading: Reading, default: object) -> T:
    hints = get_type_hints(kind, include_extras=True)
    fields = {key_of(field.name): field for field in _fields(kind)}
    entries = reading.entries(place)
    _record_unknown(entries, fields, reading)
    values: dict[str, Any] = {}
    for key, field in fields.items():
        fallback = getattr(default, field.name) if isinstance(default, kind) else _default(field)
        if key in entries and not reading.is_null(entries[key]):
            values[field.name] = _field(field.name, hints[field.name], entries[key], reading, fallback)
        else:
            values[field.name] = fallback
            if fallback is _NOTHING and key in entries:
                reading.record(entries[key], "has no value", "write one, or set the environment variables in it")
            elif fallback is _NOTHING:
                reading.record(place.below(key, place.node), "is missing", f"add {key}")
    if any(value is _NOTHING for value in values.values()):
        raise Rejected
    return kind(**values)


def _field(name: str, hint: object, place: Place, reading: Reading, default: object) -> object:
    reading.lines[place.key] = place.line
    try:
        return _value(name, hint, place, reading, default)
    except Rejected:
        return default


def _value(name: str, hint: object, place: Place, reading: Reading, default: object) -> object:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in {Union, UnionType}:
        inner = next(kind for kind in arguments if kind is not NoneType)
        is_off = is_section(inner) and reading.is_off(place)
        return None if is_off else _value(name, inner, place, reading, default)
    if isinstance(hint, type) and is_section(hint):
        return _section(hint, place, reading, default)
    if origin is tuple:
        return _list(arguments[0], place, reading)
    if origin is Mapping:
        return _mapping(arguments[0], arguments[1], place, reading)
    return reading.value(place, _parser(name, hint))


def _list(hint: object, place: Place, reading: Reading) -> tuple[object, ...]:
    places = [place] if reading.is_single(place) and not is_section(hint) else reading.items(place)
    items = (_item(hint, item, reading) for item in places)
    return tuple(item for item in items if item is not _NOTHING)


def _item(hint: object, place: Place, reading: Reading) -> object:
    if reading.is_null(place):
        reading.record(place, "is an empty item", "write a value after the -, or remove it")
        return _NOTHING
    return _field("", hint, place, reading, _NOTHING)


def _mapping(key_hint: object, hint: object, place: Place, reading: Reading) -> Mapping[object, object]:
    values: dict[object, object] = {}
    for key, entry in reading.entries(place).items():
        name = _name(key_hint, key, entry, reading)
        if name in values:
            reading.record(entry, "stands there twice", "keep one of them")
        elif name is not _NOTHING and not reading.is_null(entry):
            values[name] = _field("", hint, entry, reading, _NOTHING)
    return MappingProxyType({name: value for name, value in values.items() if value is not _NOTHING})


def _name(hint: object, key: str, place: Place, reading: Reading) -> object:
    try:
        return reading.name(key, place, _parser("", hint))
    except Rejected:
        return _NOTHING


def _parser(name: str, hint: object) -> Callable[[str], object]:
    if get_origin(hint) is Annotated:
        parser: Callable[[str], object] = get_args(hint)[1]
        return parser
    if get_origin(hint) is Literal:
        return scalar.one_of(*get_args(hint))
    unit = name.rpartition("_")[2]
    return _BY_NAME[unit] if unit in _BY_NAME else _BY_TYPE[hint]


def _fields(kind: type[Any]) -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(kind)


def _default(field: dataclasses.Field[Any]) -> object:
    return field.default if field.default_factory is _NOTHING else field.default_factory()


def _record_unknown(entries: Mapping[str, Place], known: Iterable[str], reading: Reading) -> None:
    names = tuple(known)
    for key, place in entries.items():
        if key not in names:
            near = difflib.get_close_matches(key, names, n=1)
            remedy = f"did you mean {near[0]}?" if near else f"remove it; the keys here are {', '.join(names)}"
            reading.record(place, "is not a key that exists", remedy)
