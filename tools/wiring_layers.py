"""The rule of `tools.wiring` about service locators: types that expose parts of more than two layers of the station.

It resolves names through the imports of each module, without type inference. See `wide_types` for its limits.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from tools.wiring_syntax import CONSTRUCTORS, Finding, Function, Module, is_of_self, last_name, pairs

MAX_LAYERS: Final = 2
_LAYERS: Final = {"metering": "package", "energy": "package", "station": "folder", "ocpp_handlers": "folder"}
"""for each package: whether the whole package is a layer, or each of its folders"""
_WHOLE_PACKAGES: Final = frozenset(name for name, layer in _LAYERS.items() if layer == "package")
_LAYERED_PACKAGES: Final = frozenset(name for name, layer in _LAYERS.items() if layer == "folder")
_COMPOSITION: Final = "borne/"
_VALUE_BASES: Final = frozenset(
    {"Enum", "StrEnum", "IntEnum", "Flag", "IntFlag", "Exception", "TypedDict", "NamedTuple", "BaseModel", "Table"}
)

_QualifiedName: TypeAlias = tuple[str, str]
"""a class or an alias: the path of its module, and its name"""


@dataclass(slots=True)
class _Scope:
    """The names of a module, resolved to classes and modules."""

    path: str
    names: dict[str, _QualifiedName] = field(default_factory=dict[str, _QualifiedName])
    """classes and aliases, defined or imported, by local name"""
    modules: dict[str, str] = field(default_factory=dict[str, str])
    """paths of imported modules, by local name"""


def wide_types(modules: Sequence[Module]) -> list[Finding]:
    """Types that expose parts of more than two layers, and are used in annotations outside the composition.

    A layer is a folder of `station/` or `ocpp_handlers/`, `energy/` or `metering/`. Counted are the types of public
    attributes: annotated fields, `self.x: …`, `self.x = parameter` and `self.x = Class(…)` in constructors, return
    types of properties, and all of those of base classes; of a `Callable` what it returns. Values are no parts: enums,
    immutable classes that have values only, exceptions, models of a request.
    Not seen: what methods return, and types that only a type checker can infer.
    """
    return _Types(modules).wide()


class _Types:
    """The classes of all modules, and the classes that they expose."""

    def __init__(self, modules: Sequence[Module]) -> None:
        self._modules = modules
        self._classes: dict[_QualifiedName, ast.ClassDef] = {}
        self._aliases: dict[_QualifiedName, ast.expr] = {}
        self._paths = {_dotted(module.path): module.path for module in modules}
        for module in modules:
            self._define(module)
        self._scopes = {module.path: self._scope(module) for module in modules}
        self._expanded: dict[_QualifiedName, tuple[_QualifiedName, ...]] = {}
        self._parts: dict[_QualifiedName, bool] = {}

    def wide(self) -> list[Finding]:
        annotated = self._annotation_layers()
        found: list[Finding] = []
        for named, node in self._classes.items():
            layers = self._layers(named)
            if len(layers) > MAX_LAYERS and named in annotated:
                users = len(annotated[named])
                text = f"{named[1]} exposes parts of {', '.join(sorted(layers))}; annotated in {users} modules"
                found.append(Finding(named[0], node.lineno, text))
        return sorted(found)

    def _define(self, module: Module) -> None:
        for node in module.tree.body:
            if isinstance(node, ast.ClassDef):
                self._classes[module.path, node.name] = node
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                for target, value in pairs(node):
                    if isinstance(target, ast.Name) and isinstance(value, ast.Subscript | ast.BinOp):
                        self._aliases[module.path, target.id] = value

    def _scope(self, module: Module) -> _Scope:
        scope = _Scope(module.path)
        for path, name in (*self._classes, *self._aliases):
            if path == module.path:
                scope.names[name] = path, name
        for node in module.nodes:
            if not isinstance(node, ast.ImportFrom) or node.module is None:
                continue
            for alias in node.names:
                here = alias.asname or alias.name
                if (path := self._paths.get(f"{node.module}.{alias.name}")) is not None:
                    scope.modules[here] = path
                elif (path := self._paths.get(node.module)) is not None:
                    scope.names[here] = path, alias.name
        return scope

    def _annotation_layers(self) -> Mapping[_QualifiedName, set[str]]:
        """The classes used in annotations outside the composition, each with the modules that use it."""
        users: dict[_QualifiedName, set[str]] = {}
        for module in self._modules:
            if module.path.startswith(_COMPOSITION):
                continue
            scope = self._scopes[module.path]
            for annotation in _annotations(module):
                for named in self._classes_in(annotation, scope):
                    users.setdefault(named, set()).add(module.path)
        return users

    def _layers(self, named: _QualifiedName) -> set[str]:
        parts = {part for part in self._exposed(named, set()) if self._is_part(part)}
        return {layer for path, _ in parts if (layer := _layer(path)) is not None}

    def _exposed(self, named: _QualifiedName, visited: set[_QualifiedName]) -> Iterator[_QualifiedName]:
        """The classes of the public attributes of a class and its bases."""
        node = self._classes.get(named)
        if node is None or named in visited:
            return
        visited.add(named)
        scope = self._scopes[named[0]]
        for annotation in _public_types(node):
            yield from self._classes_in(annotation, scope)
        for base in node.bases:
            for parent in self._classes_in(base, scope):
                yield from self._exposed(parent, visited)

    def _is_part(self, named: _QualifiedName) -> bool:
        """Whether a class is a part (has behaviour, or contains a part), not an immutable value."""
        if named not in self._parts:
            self._parts[named] = True  # ends the recursion for a class that contains itself
            node = self._classes[named]
            bases = {last_name(base) for base in node.bases}
            if bases & _VALUE_BASES or any((name or "").endswith(("Error", "Enum")) for name in bases):
                self._parts[named] = False
            elif _is_frozen(node):
                self._parts[named] = False
                self._parts[named] = any(
                    self._is_part(exposed) for exposed in self._exposed(named, set()) if exposed != named
                )
        return self._parts[named]

    def _classes_in(self, annotation: ast.expr, scope: _Scope) -> Iterator[_QualifiedName]:
        """The classes of these modules that an annotation names."""
        match annotation:
            case ast.Constant(value=str(text)):
                try:
                    yield from self._classes_in(ast.parse(text, mode="eval").body, scope)
                except SyntaxError:
                    return  # a Literal
            case ast.Name(id=name) if name in scope.names:
                yield from self._resolve(scope.names[name])
            case ast.Attribute(value=ast.Name(id=module), attr=name) if module in scope.modules:
                yield from self._resolve((scope.modules[module], name))
            case ast.Call(func=called):
                yield from self._classes_in(called, scope)
            case ast.Subscript(value=outer, slice=ast.Tuple(elts=[_, returned])) if last_name(outer) == "Callable":
                yield from self._classes_in(returned, scope)
            case _:
                for child in ast.iter_child_nodes(annotation):
                    if isinstance(child, ast.expr):
                        yield from self._classes_in(child, scope)

    def _resolve(self, named: _QualifiedName) -> Iterable[_QualifiedName]:
        """The class, or the classes of an alias; an alias may contain itself."""
        if named in self._classes:
            return (named,)
        if named in self._aliases and named not in self._expanded:
            self._expanded[named] = ()
            self._expanded[named] = tuple(self._classes_in(self._aliases[named], self._scopes[named[0]]))
        return self._expanded.get(named, ())


def _public_types(node: ast.ClassDef) -> Iterator[ast.expr]:
    """The annotations and constructor calls that determine the types of public attributes."""
    for statement in node.body:
        match statement:
            case ast.AnnAssign(target=ast.Name(id=name)) if not name.startswith("_"):
                yield statement.annotation
            case ast.FunctionDef(name=name) if not name.startswith("_") and _is_property(statement):
                if statement.returns is not None:
                    yield statement.returns
            case ast.FunctionDef(name=name) if name in CONSTRUCTORS:
                yield from _assigned_types(statement)
            case _:
                pass


def _assigned_types(constructor: Function) -> Iterator[ast.expr]:
    arguments = constructor.args
    parameters = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
    types = {parameter.arg: parameter.annotation for parameter in parameters if parameter.annotation is not None}
    for node in ast.walk(constructor):
        if not isinstance(node, ast.Assign | ast.AnnAssign):
            continue
        if isinstance(node, ast.AnnAssign) and _is_public(node.target):
            yield node.annotation
            continue
        for target, value in pairs(node):
            if not _is_public(target):
                continue
            if isinstance(value, ast.Name) and value.id in types:
                yield types[value.id]
            elif isinstance(value, ast.Call):
                yield value.func


def _annotations(module: Module) -> Iterator[ast.expr]:
    """All annotations of a module."""
    for node in module.nodes:
        match node:
            case ast.arg(annotation=ast.expr() as annotation) | ast.AnnAssign(annotation=annotation):
                yield annotation
            case (
                ast.FunctionDef(returns=ast.expr() as annotation)
                | ast.AsyncFunctionDef(returns=ast.expr() as annotation)
            ):
                yield annotation
            case _:
                pass


def _is_public(target: ast.expr) -> bool:
    return isinstance(target, ast.Attribute) and is_of_self(target) and not target.attr.startswith("_")


def _is_property(function: ast.FunctionDef) -> bool:
    return any((last_name(decorator) or "").endswith("property") for decorator in function.decorator_list)


def _is_frozen(node: ast.ClassDef) -> bool:
    """Whether its objects are immutable: a subclass of `Frozen`, or a frozen dataclass."""
    return any(last_name(base) == "Frozen" for base in node.bases) or any(
        "frozen=True" in ast.unparse(decorator) for decorator in node.decorator_list
    )


def _layer(path: str) -> str | None:
    """The layer of a module; None for modules below all layers (foundation) or above them (borne)."""
    package, _, rest = path.partition("/")
    if package in _WHOLE_PACKAGES:
        return package
    folder, deeper, _ = rest.partition("/")
    return f"{package}/{folder}" if package in _LAYERED_PACKAGES and deeper else None


def _dotted(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
