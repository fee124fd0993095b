"""Reads the lists of names beside the tests; each test run compares them with the running program."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tools.references.markdown import table

_FOLDER: Final = Path(__file__).parents[2] / "tests" / "names"


def lines_of(name: str) -> list[str]:
    """The lines of a list, such as "metrics"."""
    return (_FOLDER / f"{name}.txt").read_text(encoding="utf-8").splitlines()


def fields_of(name: str) -> dict[str, list[str]]:
    """The fields of each place of a list whose lines are `place` and `place: field`."""
    found: dict[str, list[str]] = {}
    for line in lines_of(name):
        place, _, field = line.partition(": ")
        found.setdefault(place, []).extend([field] if field else [])
    return found


_VARIABLES: Final = """\
# OCPP variables

The device model of a station with two EVSEs, sockets, cards and load management. A station has the components of the
hardware that its installation file names; `[[variable]]` there changes values and mutabilities, and adds variables.
`@evse` and `@connector` mean that the component belongs to an EVSE or a connector, `[...]` is an instance.

"""


def variables_page() -> str:
    """Generate the page of the OCPP variables, by component."""
    rows: dict[str, list[tuple[str, str, str, str, str]]] = {}
    for line in lines_of("device_model"):
        where, _, description = line.partition(": ")
        component, _, variable = where.partition(" ")
        rest, _, values = description.partition(" of ")
        kind, _, unit = rest.partition(" in ")
        attribute, data_type, mutability = kind.split(" ")
        variable_text = f"`{variable}`" if attribute == "Actual" else f"`{variable}` ({attribute})"
        words = ", ".join(f"`{value}`" for value in values.split(",") if value)
        rows.setdefault(component, []).append((variable_text, data_type, mutability, unit, words))
    head = ("variable", "type", "mutability", "unit", "values")
    return _VARIABLES + "".join(f"## {component}\n\n{table(head, found)}" for component, found in rows.items())


_STORED: Final = """\
# Stored names

Every name that is written to the storage directory. They are a format of their own: code can be renamed, these names
cannot, since a station must read what an older version has stored
([ADR 14](../adr/0014-unreadable-rows-and-stored-names.md)).

"""
_STORED_LISTS: Final = {
    "stored_database": "Tables, columns and indices of `borne.sqlite`",
    "stored_payloads": "Fields of what is stored as JSON",
    "stored_facts": "Kinds of facts",
    "stored_files": "Other files",
    "settings": "Settings",
}


def stored_page() -> str:
    """Generate the page of the stored names."""
    lists = (f"## {title}\n\n```text\n{chr(10).join(lines_of(name))}\n```\n\n" for name, title in _STORED_LISTS.items())
    return _STORED + "".join(lists)
