"""Validation of tables by pydantic: a model for each table.

Imported only where something is validated by pydantic, whose import takes longer than a fifth of a start.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from inspect import isclass
from types import UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    ClassVar,
    Final,
    Literal,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

from msgspec import NODEFAULT, UNSET, Meta, UnsetType
from msgspec.structs import fields
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    TypeAdapter,
    ValidationError,
    create_model,
)
from pydantic_core import core_schema

from foundation.json_values import is_array
from foundation.secret import Secret
from foundation.table_definition import Check, InvalidTableError, TableDefinition, UsablePath, ValidatedAs, keys_of

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, ValidatorFunctionWrapHandler
    from pydantic_core import CoreSchema

T = TypeVar("T", bound=TableDefinition)

_CONFIG: Final = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
_CONSTRAINTS: Final = ("gt", "ge", "lt", "le", "multiple_of", "pattern", "min_length", "max_length")
"""those of `msgspec.Meta` that pydantic's `Field` has by the same name"""


def validate(table: type[T], tree: object) -> T:
    """Validate the values of a table, parsed from TOML or JSON, and return the table.

    Raises:
        InvalidTableError: with all errors.
    """
    try:
        return cast("T", _adapter(table).validate_python(tree))
    except ValidationError as error:
        raise InvalidTableError(error.errors(include_url=False)) from None  # its text contains the values


@cache
def _adapter(table: type[TableDefinition]) -> TypeAdapter[TableDefinition]:
    return TypeAdapter(table)


def table_schema(table: type[TableDefinition], handler: GetCoreSchemaHandler) -> CoreSchema:
    """The schema of a table: that of its model, whose valid values make the table."""
    attributes = keys_of(table)
    if (tag := table.__struct_config__.tag_field) is not None:
        del attributes[tag]

    def read(value: object, read_model: ValidatorFunctionWrapHandler) -> object:
        if isinstance(value, table):
            return value
        model = read_model(value)
        return table(**{attribute: getattr(model, key) for key, attribute in attributes.items()})

    return core_schema.no_info_wrap_validator_function(read, handler.generate_schema(table_model(table)))


@cache
def table_model(table: type[TableDefinition]) -> type[BaseModel]:
    """The pydantic model of a table: its keys with their types, constraints and checks, without the rules between them.

    Its JSON schema is that of the table.
    """
    attributes = keys_of(table)
    hints: dict[str, object] = get_type_hints(table, include_extras=True)
    checks = table.field_checks()
    defaults = {
        table_field.name: _default(table_field.default, table_field.default_factory) for table_field in fields(table)
    }
    model_fields: dict[str, tuple[object, object]] = {}
    for key, attribute in attributes.items():
        kind = hints[attribute]
        if get_origin(kind) is ClassVar:  # the tag, which pydantic needs in a union
            model_fields[key] = (get_args(kind)[0], ...)
            continue
        annotation = _annotation(kind)
        if attribute in checks:
            annotation = Annotated[annotation, AfterValidator(_check_unless_absent(checks[attribute]))]
        model_fields[key] = (annotation, defaults[attribute])
    make = cast("Callable[..., type[BaseModel]]", create_model)
    return make(table.__name__, __config__=_CONFIG, __doc__=table.__doc__, __module__=table.__module__, **model_fields)


def _default(default: object, factory: object) -> object:
    if factory is not NODEFAULT:
        return Field(default_factory=cast("Callable[[], object]", factory))
    if default is UNSET or _contains_tables(default):
        return Field(default_factory=lambda: default)  # of which the JSON schema shows nothing
    return ... if default is NODEFAULT else default


def _contains_tables(default: object) -> bool:
    if is_array(default):
        return any(_contains_tables(item) for item in default)
    return isinstance(default, TableDefinition)


def _check_unless_absent(check: Check) -> Callable[[object], object]:
    def checked(value: object) -> object:
        if value is not None:
            check(value)
        return value

    return checked


def _annotation(kind: object) -> object:
    """The type of a key as pydantic knows it; `kind` is as msgspec knows it."""
    if kind is Secret:
        return Annotated[SecretStr, BeforeValidator(_unwrap_secret), AfterValidator(_wrap_secret)]
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _with_annotations(arguments[0], arguments[1:])
    if origin in (Union, UnionType):
        return _union(arguments)
    if origin is tuple:
        return tuple[tuple(argument if argument is ... else _annotation(argument) for argument in arguments)]
    if origin is Literal and any(isinstance(argument, bool) for argument in arguments):
        return Annotated[kind, BeforeValidator(_number_as_text)]
    return kind


def _with_annotations(kind: object, annotations: tuple[object, ...]) -> object:
    for annotation in annotations:
        if isinstance(annotation, ValidatedAs):
            return _annotation(annotation.kind)
    field_type = _annotation(kind)
    make_field = cast("Callable[..., object]", Field)
    for annotation in annotations:
        if isinstance(annotation, UsablePath):
            field_type = Annotated[field_type, BeforeValidator(_check_path)]
        elif isinstance(annotation, Meta):
            constraints = {name: value for name in _CONSTRAINTS if (value := getattr(annotation, name)) is not None}
            field_type = Annotated[field_type, make_field(**constraints, **(annotation.extra or {}))]
    return field_type


def _union(parts: tuple[object, ...]) -> object:
    tables: list[type[TableDefinition]] = []
    others: list[object] = []
    for part in parts:
        if part is UnsetType:
            continue
        if isclass(part) and issubclass(part, TableDefinition):
            tables.append(part)
        else:
            others.append(_annotation(part))
    if len(tables) < 2:
        return Union[*tables, *others]
    selected: object = Annotated[Union[*tables], Field(discriminator=tables[0].__struct_config__.tag_field)]
    return cast("object", Union[selected, *others]) if others else selected


def _number_as_text(value: object) -> object:
    """Convert a number to text, so that pydantic does not accept 0 for the literal False, which is equal to it."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _check_path(path: object) -> object:
    if path == "":
        raise ValueError("must not be empty")
    if isinstance(path, str) and "\0" in path:
        raise ValueError("must not contain the character NUL")
    return path


def _unwrap_secret(value: object) -> object:
    return value.get_secret_value() if isinstance(value, Secret) else value


def _wrap_secret(value: SecretStr) -> Secret:
    return Secret(value.get_secret_value())
