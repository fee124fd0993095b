"""The installation file: the installer's configuration in TOML, read and validated at the start.

Names of keys contain their units. Relative paths are relative to the working directory.
"""

# pydantic-settings is not used: its import costs 27 ms of every cold start, and it reports neither the line of an error
# nor a mistyped variable.

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from energy.sources.grid_source_table import SIMULATED_DEVICE
from foundation.json_values import is_list, is_object, object_of
from foundation.table_definition import InvalidTableError
from station.configuration import environment as config_environment
from station.configuration import rules
from station.configuration.installation_tables import InstallationTables
from station.core.identifiers import host_name
from station.core.installation_file import document as config_file
from station.core.installation_file.document import ConfigurationDocument, ConfigurationError, RuleError

__all__ = ["SIMULATED_DEVICE", "Configuration", "ConfigurationError", "load_configuration", "load_document"]


def load_configuration(path: Path, environ: Mapping[str, str]) -> Configuration:
    """Read the installation file, override it by the BORNE_ variables of `environ`, and validate the result.

    Raises:
        ConfigurationError: one sentence for each error: file and line or variable, key, reason.
    """
    document = load_document(path, environ)
    try:
        configuration = Configuration.from_tree(document.tree)
    except InvalidTableError as error:
        raise explain(error, document) from None
    if document.refused:
        raise ConfigurationError(*document.refused)
    return configuration


def load_document(path: Path, environ: Mapping[str, str]) -> ConfigurationDocument:
    """Read the installation file, overridden by the BORNE_ variables of `environ`; its values are not validated.

    Raises:
        ConfigurationError: the file cannot be read, or is not valid TOML.
    """
    return config_environment.overlay(config_file.read_installation_file(path), environ, Configuration)


def explain(errors: InvalidTableError | Sequence[RuleError], document: ConfigurationDocument) -> ConfigurationError:
    """Translate the errors of a document of the installation file into one sentence each.

    `errors`: those of its validation, or of a later check, of which there must be one.
    """
    from station.configuration.errors import explain_errors, explain_rules  # late: needed after an error only

    if isinstance(errors, InvalidTableError):
        return explain_errors(errors.details, document, Configuration)
    return explain_rules(errors, document)


class Configuration(InstallationTables):
    """The validated configuration of a station: all tables of the installation file, and the rules between them."""

    @property
    def local_url(self) -> str:
        """The URL of the station in the local network, by its multicast DNS name, without a path."""
        name = host_name(self.mdns.name or self.station.identity)
        return f"{'https' if self.http.tls else 'http'}://{name}.local:{self.http.port}"

    @classmethod
    def from_tree(cls, tree: object) -> Configuration:
        """Validate the values of an installation file, with the rules between its tables.

        Raises:
            InvalidTableError: with all errors.
        """
        return super().from_tree(_completed(tree))

    def check_rules(self) -> None:
        """Check the rules between the tables.

        Raises:
            RuleErrors: the keys and the reasons.
        """
        rules.check(self)


def _completed(given: object) -> object:
    """Add what other keys imply: an empty [station], the ids of EVSEs, the type of the board, the device of a Linky.

    A missing [station] is thus reported as a missing identity. A board without a type is simulated.
    """
    if not is_object(given):
        return given
    tree: dict[str, object] = {"station": dict[str, object](), **given}
    if is_list(evses := tree.get("evse")):
        tree["evse"] = [_numbered(evse, position) for position, evse in enumerate(evses, start=1)]
    if is_object(board := tree.get("board")):
        tree["board"] = {"type": "simulated", **board}
    match tree:
        case {"grid": {"source": {"type": "linky"}}, "simulation": {"linky": {}}}:
            grid = object_of(tree["grid"])
            source = {"device": SIMULATED_DEVICE} | object_of(grid["source"])
            return tree | {"grid": grid | {"source": source}}
        case _:
            return tree


def _numbered(evse: object, position: int) -> object:
    """Add the id to a table [[evse]] that has none: its position in the file."""
    return {"id": position, **evse} if is_object(evse) else evse
