"""What Home Assistant's supervisor requires of an add-on's files: its published rules, as of its release 2026.07.

Sources: `supervisor/apps/validate.py` (before 2026: `supervisor/addons/validate.py`), `supervisor/apps/options.py`, and
the developers' page "App configuration". Keys that the supervisor ignores are errors here: they are mistyped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from foundation.json_values import is_list, is_object

_ARCHITECTURES: Final = {"aarch64", "amd64"}
"""those that are not deprecated"""
_TYPE: Final = re.compile(
    r"(bool|email|url|port|device(\(subsystem=[a-z]+\))?|(str|password|int)(\(\d*,\d*\))?"
    r"|float(\([\d.]*,[\d.]*\))?|match\((?P<pattern>.*)\)|list\((?P<choices>.+)\))(?P<optional>\??)"
)
_FOLDERS: Final = "data|ssl|local_apps|backup|share|media|homeassistant_config|all_app_configs|app_config|addon_config"


def _is(kind: type) -> Callable[[object], bool]:
    return lambda value: isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def _matches(pattern: str) -> Callable[[object], bool]:
    return lambda value: isinstance(value, str) and re.fullmatch(pattern, value) is not None


def _one_of(*choices: str) -> Callable[[object], bool]:
    return lambda value: value in choices


def _list_of(check: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: is_list(value) and all(map(check, value))


def _ports(described: Callable[[object], bool]) -> Callable[[object], bool]:
    named = _matches(r"\d+(/tcp|/udp)?")
    return lambda value: is_object(value) and all(named(port) and described(text) for port, text in value.items())


_REQUIRED: Final = {"name", "version", "slug", "description", "arch"}
_KEYS: Final[Mapping[str, Callable[[object], bool]]] = {
    "name": _is(str),
    "version": _is(str),
    "slug": _matches(r"[-_.A-Za-z0-9]+"),
    "description": _is(str),
    "arch": _list_of(_one_of(*_ARCHITECTURES)),
    "url": lambda value: urlsplit(str(value)).scheme in {"http", "https"},
    "startup": _one_of("initialize", "system", "services", "application", "once"),
    "boot": _one_of("auto", "manual", "manual_only"),
    "init": _is(bool),
    "tmpfs": _is(bool),
    "timeout": lambda value: isinstance(value, int) and 10 <= value <= 300,
    "ports": _ports(lambda port: port is None or (isinstance(port, int) and 1 <= port <= 65535)),
    "ports_description": _ports(_is(str)),
    "webui": _matches(r"(https?|\[PROTO:\w+\])://\[HOST\]:\[PORT:\d+\].*"),
    "watchdog": _matches(r"(https?|\[PROTO:\w+\]|tcp)://\[HOST\]:(\[PORT:\d+\]|\d+).*"),
    "hassio_api": _is(bool),
    "services": _list_of(_matches("(mqtt|mysql):(provide|want|need)")),
    "uart": _is(bool),
    "map": _list_of(_matches(rf"({_FOLDERS})(:(rw|ro))?")),
    "backup": _one_of("hot", "cold"),
    "backup_pre": _is(str),
    "backup_exclude": _list_of(_is(str)),
    "options": _is(dict),
    "schema": _is(dict),
}


def description_errors(description: Mapping[str, Any]) -> list[str]:
    """The keys of a config.yaml that the supervisor rejects or ignores, and the errors of its options' types."""
    errors = [f"{name}: is missing" for name in sorted(_REQUIRED - description.keys())]
    for name, value in description.items():
        if name not in _KEYS:
            errors.append(f"{name}: is not known")
        elif not _KEYS[name](value):
            errors.append(f"{name}: is not allowed: {value}")
    return [*errors, *_type_errors("schema", description["schema"])]


def _type_errors(place: str, kind: object) -> Iterator[str]:
    """A type is a text, a list of one type, or a group of types; a list holds no list."""
    if is_object(kind):
        for name, inner in kind.items():
            yield from _type_errors(f"{place}.{name}", inner)
    elif is_list(kind) and len(kind) == 1 and not is_list(kind[0]):
        yield from _type_errors(f"{place}[]", kind[0])
    elif not isinstance(kind, str) or _TYPE.fullmatch(kind) is None:
        yield f"{place}: {kind} is no type"


def _entry(kind: object) -> object:
    """The type of the entries of a list, else the type itself."""
    return kind[0] if is_list(kind) else kind


def option_errors(schema: Mapping[str, Any], options: Mapping[str, Any], place: str = "options") -> list[str]:
    """What keeps the supervisor from starting the add-on with these options."""
    errors = [f"{place}.{name}: is not in the schema" for name in options.keys() - schema.keys()]
    for name, kind in schema.items():
        inner = _entry(kind)
        optional = isinstance(inner, str) and inner.endswith("?")
        if name in options:
            errors += _value_errors(kind, options[name], f"{place}.{name}")
        elif not optional:
            errors.append(f"{place}.{name}: is missing")
    return errors


def _value_errors(kind: object, value: object, place: str) -> list[str]:
    if is_object(kind):
        return option_errors(kind, value, place) if is_object(value) else [f"{place}: is no group"]
    if is_list(kind):
        if not is_list(value):
            return [f"{place}: is no list"]
        return [error for entry in value for error in _value_errors(kind[0], entry, f"{place}[]")]
    return [] if _fits(str(kind), value) else [f"{place}: {value} is not {kind}"]


def _fits(kind: str, value: Any) -> bool:
    found = _TYPE.fullmatch(kind)
    assert found is not None
    name = re.match("[a-z]+", kind)
    assert name is not None
    match name[0]:
        case "list":
            return str(value) in found["choices"].split("|")
        case "match":
            return re.match(found["pattern"], str(value)) is not None
        case "int" | "float":
            bounds = re.search(r"\(([\d.]*),([\d.]*)\)", kind)
            least, most = (float(bound) for bound in bounds.groups()) if bounds else (value, value)
            return least <= float(value) <= most
        case "port":
            return 1 <= int(value) <= 65535
        case "bool":
            return isinstance(value, bool)
        case _:
            return isinstance(value, str)


def translation_errors(schema: Mapping[str, Any], translation: Mapping[str, Any], place: str = "") -> list[str]:
    """Options that a file of translations/ does not name and describe, and names in it that are no options."""
    errors = [f"{place}{name}: is no option" for name in translation.keys() - schema.keys()]
    for name, kind in schema.items():
        texts = translation.get(name, {})
        if not all(isinstance(texts.get(key), str) and texts[key] for key in ("name", "description")):
            errors.append(f"{place}{name}: has no name or no description")
        inner = _entry(kind)
        fields: Mapping[str, Any] = inner if is_object(inner) else {}
        errors += translation_errors(fields, texts.get("fields", {}), f"{place}{name}.")
        errors += [f"{place}{name}: {key} is not known" for key in texts.keys() - {"name", "description", "fields"}]
    return errors
