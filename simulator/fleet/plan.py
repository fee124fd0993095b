"""Reads a fleet's plan with the files that it names, and makes the installation file of each station from them."""

from __future__ import annotations

import csv
import os
import tomllib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from foundation.frozen import Frozen
from foundation.json_values import is_list, is_object, object_of
from foundation.secret import Secret
from foundation.table import given_values
from foundation.table_definition import InvalidTableError
from simulator.fleet.plan_tables import FleetPlan, credentials_errors
from simulator.pki.contracts import PkiError
from station.configuration.errors import explain_errors, explain_rules
from station.configuration.installation_file import Configuration
from station.core.installation_file.document import (
    ConfigurationDocument,
    ConfigurationError,
    RuleError,
    RuleErrors,
    read_installation_file,
)
from station.devices.simulated_config import SimulatedReaderConfig

if TYPE_CHECKING:
    from simulator.pki.v2g_pki import TestPki
    from station.core.vehicle_link import Contract

Tree = dict[str, object]

_PLACEHOLDER_URL: Final = "ws://127.0.0.1:9/ocpp"
_MAX_ROWS_REPORTED: Final = 20
"""invalid rows of a file with credentials that are reported at once"""


class StationCredentials(Frozen):
    """Identity and password with which one station connects to the CSMS."""

    identity: str
    password: Secret | None = None
    """None: that of the template, or none"""


class LoadedPlan(Frozen):
    """A plan with the files that it names; complete in itself, so that it can be sent to another machine."""

    plan: FleetPlan
    template: str
    """the text of the template"""
    template_path: str
    """its file name, for error messages"""
    credentials: tuple[StationCredentials, ...] = ()
    """identity and password of each station; empty: the plan's patterns give them"""
    contracts: tuple[Contract, ...] = ()
    """the contracts of vehicles; empty: the plan names none, or the PKI is made with the fleet (`with_contracts_of`)"""
    pki_path: str | None = None
    """folder of the PKI that the plan names, on the machine that has read it"""

    def __repr__(self) -> str:
        """Without template, which may contain a password: Dask logs the arguments of a failed call."""
        return f"LoadedPlan({self.plan!r}, template_path={self.template_path!r})"

    def with_contracts_of(self, pki: TestPki) -> LoadedPlan:
        """A copy with the contracts that the plan names, read from a PKI.

        Raises:
            RuleErrors: it does not have all of them: the keys and the reasons.
        """
        found: list[Contract] = []
        broken: list[RuleError] = []
        for index, name in enumerate(self.plan.contracts.names):
            try:
                found.append(pki.contract(name))
            except PkiError as error:
                broken.append(RuleError(("contracts", "names", index), str(error)))
        if broken:
            raise RuleErrors(broken)
        return replace(self, contracts=tuple(found))

    @property
    def numbers(self) -> range:
        """The number `n` of each station."""
        return range(self.plan.fleet.first, self.plan.fleet.first + self.plan.fleet.stations)

    def station_credentials(self, number: int) -> StationCredentials:
        """Identity and password of the station with this number."""
        if self.credentials:
            return self.credentials[number - self.plan.fleet.first]
        fleet = self.plan.fleet
        password = Secret(fleet.password.get_secret_value().format(n=number)) if fleet.password is not None else None
        return StationCredentials(fleet.identity.format(n=number), password)


def load_plan(path: Path) -> LoadedPlan:
    """Read and validate a plan, its template and its credentials.

    Raises:
        ConfigurationError: one sentence for each error: file and line, key, reason.
    """
    document = read_installation_file(path)
    try:
        plan = FleetPlan.from_tree(document.tree)
    except InvalidTableError as error:
        raise explain_errors(error.details, document, FleetPlan) from None
    template_path = path.parent / plan.fleet.template
    loaded = LoadedPlan(plan, read_installation_file(template_path).text, str(template_path))
    if plan.has_contracts and plan.contracts.pki is not None:
        try:
            pki = path.parent / plan.contracts.pki
            loaded = replace(loaded.with_contracts_of(_load_pki(pki)), pki_path=str(pki))
        except RuleErrors as error:
            raise explain_rules(error.errors, document) from None
    if plan.fleet.credentials is not None:
        rows = _read_credentials(path.parent / plan.fleet.credentials, plan.fleet.stations)
        loaded = replace(loaded, credentials=rows)
    url = _PLACEHOLDER_URL if plan.fleet.csms == "bundled" else plan.fleet.csms
    for number in (loaded.numbers[0], loaded.numbers[-1]):
        InstallationFiles(loaded).configuration(number, url, Path(os.devnull))
    return loaded


class InstallationFiles:
    """Makes the configuration of each station of a plan from its template."""

    def __init__(self, loaded: LoadedPlan) -> None:
        """Parse the template, which `load_plan` has found to be valid TOML."""
        self._loaded = loaded
        path = Path(loaded.template_path)
        self._document = ConfigurationDocument(path, loaded.template, tomllib.loads(loaded.template))

    def configuration(self, number: int, csms_url: str, storage: Path) -> Configuration:
        """The configuration of one station. `csms_url`: without its identity; `storage`: its storage directory.

        Raises:
            ConfigurationError: the template does not give a valid one, or its board is not simulated.
        """
        tree = self._station_tree(number, csms_url, storage)
        try:
            found = Configuration.from_tree(tree)
        except InvalidTableError as error:
            raise explain_errors(error.details, replace(self._document, tree=tree), Configuration) from None
        if found.board.simulated_key is None:
            raise ConfigurationError(
                f'{self._document.path}: board.type: must be "simulated" in the template of a fleet'
            )
        return found

    def _station_tree(self, number: int, csms_url: str, storage: Path) -> Tree:
        fleet, credentials = self._loaded.plan.fleet, self._loaded.station_credentials(number)
        tree = object_of(
            _replace_placeholders(self._document.tree, {"{n}": str(number), "{identity}": credentials.identity})
        )
        station = _table(tree, "station") | {"identity": credentials.identity, "storage": str(storage)}
        csms = _table(tree, "csms") | {"url": csms_url}
        if credentials.password is not None:
            csms["password"] = credentials.password.get_secret_value()
        simulation = _table(tree, "simulation") | {"rate": fleet.rate}
        if self._loaded.plan.has_communicating_vehicles:
            tree["evse"] = _with_seccs(tree.get("evse", [{"id": 1}]))
        http = _table(tree, "http") | {"host": "127.0.0.1", "port": 0}
        tree |= {"station": station, "csms": csms, "simulation": simulation, "http": http}
        readers = tree.get("reader", [])
        if is_list(readers) and not any(map(_is_simulated, readers)):
            tree["reader"] = [*readers, given_values(SimulatedReaderConfig(name="fleet"))]
        return tree


def _load_pki(folder: Path) -> TestPki:
    """Read the PKI of a plan.

    Raises:
        RuleErrors: the folder is none.
    """
    from simulator.pki.v2g_pki import TestPki  # late: cryptography

    try:
        return TestPki.load(folder)
    except PkiError as error:
        raise RuleErrors([RuleError(("contracts", "pki"), str(error))]) from None


def _with_seccs(evses: object) -> object:
    """The EVSEs of a template, each with a simulated SECC unless the template says which ones have one."""
    if not is_list(evses) or any(is_object(evse) and "secc" in evse for evse in evses):
        return evses
    return [{**evse, "secc": {"type": "simulated"}} if is_object(evse) else evse for evse in evses]


def _is_simulated(reader: object) -> bool:
    return is_object(reader) and reader.get("type") == "simulated"


def _table(tree: Tree, name: str) -> Tree:
    table = tree.get(name)
    return dict(table) if is_object(table) else {}


def _replace_placeholders(value: object, words: Mapping[str, str]) -> object:
    """A copy of a parsed TOML value with placeholders replaced in every text."""
    if isinstance(value, str):
        for word, text in words.items():
            value = value.replace(word, text)
        return value
    if is_object(value):
        return {key: _replace_placeholders(inner, words) for key, inner in value.items()}
    if is_list(value):
        return [_replace_placeholders(inner, words) for inner in value]
    return value


def _read_credentials(path: Path, wanted: int) -> tuple[StationCredentials, ...]:
    """Read the first `wanted` rows of a CSV file with the columns identity and password."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            columns = set(reader.fieldnames or ())
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigurationError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if "identity" not in columns:
        raise ConfigurationError(f"{path}:1: identity: is missing: the first line must name the columns")
    if len(rows) < wanted:
        raise ConfigurationError(f"{path}: has {len(rows)} stations, but fleet.stations is {wanted}")
    found: list[StationCredentials] = []
    wrong: list[str] = []
    for line, row in rows[:wanted]:
        identity, password = row["identity"] or "", row.get("password") or None
        wrong += [f"{path}:{line}: {key}: {why}" for key, why in credentials_errors(identity, password)]
        found.append(StationCredentials(identity, Secret(password) if password is not None else None))
    if wrong:
        raise ConfigurationError(*wrong[:_MAX_ROWS_REPORTED])
    for identity, count in Counter(credentials.identity for credentials in found).items():
        if count > 1:
            raise ConfigurationError(f"{path}: identity: {identity} is used by {count} stations")
    return tuple(found)
