"""Makes the installation file of a scenario's station: a template, with the tables of the scenario in it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from foundation.frozen import Frozen
from foundation.json_values import is_list, is_object, object_of
from foundation.table_definition import InvalidTableError
from station.configuration.errors import explain_errors
from station.configuration.installation_file import Configuration
from station.core.installation_file.document import ConfigurationDocument, ConfigurationError, read_installation_file

Tree = Mapping[str, object]

DEFAULT_TEMPLATE: Final = ConfigurationDocument(Path("template"), "", {})
"""the template of a station that is not given: one EVSE"""
READER: Final = "reader"
"""name of the simulated reader of a station that has none"""
_TABLE: Final = "station"


class StationPlace(Frozen):
    """What the bench decides about a station, beside its template and the tables of the scenario."""

    identity: str = "SCENARIO"
    csms_url: str = "ws://127.0.0.1:9/ocpp"
    """URL of the CSMS without identity"""
    storage: Path = Path(os.devnull)
    rate: float = 0.0
    """virtual seconds per real second"""
    password: str | None = None
    """BasicAuthPassword; None: that of the template or of the scenario, or none"""


def read_template(path: Path | None) -> ConfigurationDocument:
    """Read the template of the stations; None: the default one.

    Raises:
        ConfigurationError: it is not valid TOML.
    """
    return DEFAULT_TEMPLATE if path is None else read_installation_file(path)


def station_configuration(
    template: ConfigurationDocument, own: Tree, document: ConfigurationDocument, place: StationPlace
) -> Configuration:
    """The configuration of a station. `own`: the table [station] of the scenario in `document`.

    Raises:
        ConfigurationError: it is not valid, or its board is not simulated.
    """
    tree = _merged(template.tree if is_object(template.tree) else {}, own)
    table = object_of(tree.get("station", {})) | {"identity": place.identity, "storage": str(place.storage)}
    csms = object_of(tree.get("csms", {})) | {"url": place.csms_url}
    if place.password is not None:
        csms["password"] = place.password
    simulation = object_of(tree.get("simulation", {})) | {"rate": place.rate}
    http = object_of(tree.get("http", {})) | {"host": "127.0.0.1", "port": 0}
    tree |= {"station": table, "csms": csms, "simulation": simulation, "http": http}
    readers = tree.get("reader", [])
    if is_list(readers) and not any(is_object(one) and one.get("type") == "simulated" for one in readers):
        tree["reader"] = [*readers, {"type": "simulated", "name": READER}]
    try:
        found = Configuration.from_tree(tree)
    except InvalidTableError as error:
        given = document if own else template
        raise explain_errors(
            error.details, replace(given, tree=tree), Configuration, (_TABLE,) if own else ()
        ) from None
    if found.board.simulated_key is None:
        raise ConfigurationError(f'{template.path}: board.type: must be "simulated" for a scenario')
    return found


def _merged(base: Tree, above: Tree) -> dict[str, object]:
    """Tables of `above` in those of `base`, key by key; other values, lists among them, replace."""
    merged = dict(base)
    for key, value in above.items():
        before = merged.get(key)
        merged[key] = _merged(before, value) if is_object(before) and is_object(value) else value
    return merged
