"""Reads scenario files, TOML or Python, and checks all of a file before anything starts."""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeGuard, TypeVar

from pydantic import BaseModel, ValidationError

from foundation.frozen import Frozen
from foundation.json_values import is_list, is_object
from foundation.supervision import contained_call
from simulator.scenarios.schema_fields import fields_at, similar_name
from simulator.scenarios.station_table import DEFAULT_TEMPLATE, StationPlace, station_configuration
from simulator.scenarios.step_rules import rule_errors
from simulator.scenarios.steps import WORDS, ScenarioTable, Step
from station.configuration.errors import explain_rules
from station.configuration.line_numbers import line_numbers
from station.core.installation_file.document import (
    ConfigurationDocument,
    ConfigurationError,
    KeyPath,
    RuleError,
    read_installation_file,
)

if TYPE_CHECKING:
    from simulator.scenarios.bench import Bench

PlayFunction = Callable[["Bench"], Awaitable[None]]
"""the coroutine function `scenario` of a Python file"""

_Model = TypeVar("_Model", bound=BaseModel)

_TABLES: Final = ("scenario", "station", "values", "step")
_MAX_STEPS: Final = 2_000
_NOTE: Final = "note"
_FUNCTION: Final = "scenario"


class Scenario(Frozen):
    """A scenario, valid as far as this can be checked before it starts."""

    path: Path
    """its file"""
    document: ConfigurationDocument
    """the file, for errors in its tables"""
    text: str
    """the text of the file"""
    table: ScenarioTable
    station: Mapping[str, object] = {}
    """tables of the installation file of its station, in place of those of the template"""
    values: Mapping[str, str] = {}
    """the values of `${name}` at its begin"""
    steps: tuple[Step, ...] = ()
    """the steps of a TOML file"""
    play: PlayFunction | None = None
    """the function of a Python file; None: it is a TOML file"""

    @property
    def name(self) -> str:
        """Its name in reports."""
        return self.table.name or self.path.stem

    def uses(self, names: Collection[str]) -> bool:
        """Whether its text contains one of these names of values, some of which are costly to make."""
        return any(name in self.text for name in names)


def load_scenario(path: Path, given_values: Mapping[str, str] | None = None) -> Scenario:
    """Read and check a scenario file; `given_values` override its [values].

    Raises:
        ConfigurationError: one sentence for each error: file and line, key, reason.
    """
    return _load_python(path, given_values or {}) if path.suffix == ".py" else _load_toml(path, given_values or {})


def _load_toml(path: Path, given_values: Mapping[str, str]) -> Scenario:
    document = read_installation_file(path)
    tree = document.tree if is_object(document.tree) else {}
    errors = [
        RuleError((key,), f"is not a known table ({similar_name(key, list(_TABLES))})")
        for key in tree
        if key not in _TABLES
    ]
    table = _table(tree.get("scenario", {}), ScenarioTable, ("scenario",), errors) or ScenarioTable()
    station, values = _free_table(tree, "station", errors), _values(tree, errors)
    lines = line_numbers(document.text)
    steps = list(_steps(tree.get("step"), lines, errors))
    if not errors:
        errors += rule_errors(steps, station, values.keys() | given_values.keys())
    if errors:
        raise explain_rules(errors, document)
    return _checked(Scenario(path, document, document.text, table, station, {**values, **given_values}, tuple(steps)))


def _table(value: object, model: type[_Model], path: KeyPath, errors: list[RuleError]) -> _Model | None:
    """Validate a table; None if it is invalid: its errors are added."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        errors += _field_errors(error, model, path)
        return None


def _field_errors(error: ValidationError, model: type[BaseModel], path: KeyPath) -> Iterator[RuleError]:
    for details in error.errors(include_url=False, include_input=False, include_context=False):
        place = (*path, *details["loc"])
        match details["type"]:
            case "missing":
                yield RuleError(place, "is missing")
            case "extra_forbidden":
                known = fields_at(model.model_json_schema(), details["loc"][:-1])
                yield RuleError(place, f"is not a known key ({similar_name(str(place[-1]), known)})")
            case _:
                reason = details["msg"].replace("Input should be", "must be").removeprefix("Value error, ")
                yield RuleError(place, reason)


def _free_table(tree: Mapping[str, object], name: str, errors: list[RuleError]) -> dict[str, object]:
    table = tree.get(name, {})
    if is_object(table):
        return table
    errors.append(RuleError((name,), "must be a table"))
    return {}


def _values(tree: Mapping[str, object], errors: list[RuleError]) -> dict[str, str]:
    values: dict[str, str] = {}
    for key, value in _free_table(tree, "values", errors).items():
        if isinstance(value, str):
            values[key] = value
        else:
            errors.append(RuleError(("values", key), "must be text in quotes"))
    return values


def _steps(given: object, lines: Mapping[KeyPath, int], errors: list[RuleError]) -> Iterator[Step]:
    """Yield the valid steps of a file; the errors of the others are added."""
    if not is_list(given) or not given:
        errors.append(RuleError(("step",), "is missing: each thing that a scenario does or expects is a [[step]]"))
        return
    if len(given) > _MAX_STEPS:
        errors.append(RuleError(("step",), f"has {len(given)} steps, and may have {_MAX_STEPS}"))
        return
    for index, table in enumerate(given):
        path: KeyPath = ("step", index)
        step = _step(table, path, lines.get(path), errors)
        if step is not None:
            yield step


def _step(table: object, path: KeyPath, line: int | None, errors: list[RuleError]) -> Step | None:
    if not is_object(table):
        errors.append(RuleError(path, "must be a table"))
        return None
    words = [key for key in table if key != _NOTE]
    unknown = [key for key in words if key not in WORDS]
    errors += [RuleError((*path, key), f"is not a known word ({similar_name(key, list(WORDS))})") for key in unknown]
    if unknown:
        return None
    if len(words) != 1:
        found = f"has {', '.join(words)}" if words else "has none"
        errors.append(RuleError(path, f"must have exactly one word, such as plug, card or expect ({found})"))
        return None
    note = table.get(_NOTE, "")
    if not isinstance(note, str):
        errors.append(RuleError((*path, _NOTE), "must be text in quotes"))
        return None
    body = _table(table[words[0]], WORDS[words[0]], (*path, words[0]), errors)
    return Step(words[0], body, note, line) if body is not None else None


def _load_python(path: Path, given_values: Mapping[str, str]) -> Scenario:
    """Import a Python file: its function `scenario(bench)`, and the optional constants SCENARIO, STATION and VALUES."""
    spec = importlib.util.spec_from_file_location(f"borne_scenario_{path.stem}", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise ConfigurationError(f"{path}: cannot be read")
    module = importlib.util.module_from_spec(spec)
    loader = spec.loader
    match contained_call(lambda: loader.exec_module(module)):
        case SyntaxError() as error:
            raise ConfigurationError(f"{path}:{error.lineno}: {error.msg}") from error
        case Exception() as error:
            raise ConfigurationError(f"{path}: cannot be imported: {type(error).__name__}: {error}") from error
        case _:
            pass
    constants: Mapping[str, object] = vars(module)
    play = constants.get(_FUNCTION)
    if not _is_play_function(play):
        raise ConfigurationError(f"{path}: scenario: is missing: `async def scenario(bench: Bench) -> None`")
    errors: list[RuleError] = []
    table = _table(constants.get("SCENARIO", {}), ScenarioTable, ("SCENARIO",), errors)
    tree = {"station": constants.get("STATION", {}), "values": constants.get("VALUES", {})}
    station, values = _free_table(tree, "station", errors), _values(tree, errors)
    document = ConfigurationDocument(path, "", {})
    if errors or table is None:
        raise explain_rules(errors, document)
    given, text = {**values, **given_values}, path.read_text(encoding="utf-8")
    return _checked(Scenario(path, document, text, table, station, given, play=play))


def _is_play_function(value: object) -> TypeGuard[PlayFunction]:
    return inspect.iscoroutinefunction(value)


def _checked(scenario: Scenario) -> Scenario:
    """Check the tables of its station, in the default template.

    Raises:
        ConfigurationError: they are not valid.
    """
    if scenario.station:
        station_configuration(DEFAULT_TEMPLATE, scenario.station, scenario.document, StationPlace())
    return scenario
