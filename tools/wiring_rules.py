"""The rules of `tools.wiring`: each reads the syntax trees of all modules and returns what it found.

They are approximate, as they use names, not types. The docstring of each states what it counts and what it misses.
"""

from __future__ import annotations

import ast
import io
import tokenize
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeAlias

from tools.wiring_escapes import (
    casts,
    late_parts,
    long_parameter_lists,
    suppressed_lints,
    suppressed_types,
    uses_of_any,
)
from tools.wiring_layers import wide_types
from tools.wiring_listeners import raising_listeners
from tools.wiring_syntax import CONSTRUCTORS, Finding, Function, Module, is_of_self, last_name, pairs

LONGEST_FUNCTION: Final = 60
"""lines, decorators not included"""
_COMPOSITION: Final = ("borne/",)
"""path prefixes of the composition"""
_SLOTS_OF_LIBRARIES: Final = {
    # pymodbus calls its transaction layer through this attribute and offers no other way to see a frame that it cannot
    # decode: the client makes that layer itself, so no subclass of it can be given.
    ("metering/drivers/decode_errors.py", "client.ctx.callback_data"),
    # sqlite3 and aiosqlite take it in no other way.
    ("station/storage/read_connections.py", "connection.text_factory"),
    ("station/storage/writing_connection.py", "connection.text_factory"),
}
"""attributes of libraries that take a callable after construction, each with the reason why it has to be so"""
_ENDING_CHECKS: Final = frozenset({"endswith", "startswith"})
_SUBSCRIPTIONS: Final = frozenset({"watch", "subscribe", "on_change"})


def modules_below(root: Path, patterns: Sequence[str]) -> list[Module]:
    """All modules of the packages whose names match the patterns of `packages.find`."""
    folders = sorted({folder for pattern in patterns for folder in root.glob(pattern) if folder.is_dir()})
    files = [file for folder in folders for file in sorted(folder.rglob("*.py"))]
    return [Module.parse(file.relative_to(root).as_posix(), file.read_text(encoding="utf-8")) for file in files]


def late_callables(modules: Sequence[Module]) -> list[Finding]:
    """Callables that are assigned to an attribute after construction.

    Counted: `x.changed = …` outside a constructor (or on anything but `self` within one) if the value is a lambda, a
    `partial`, a parameter annotated with `Callable`, or the name of a function or method of these modules; or if
    attributes of that name are annotated with `Callable` and the value is not None (where only some classes annotate it
    so: if it is an attribute of another object). A method that stores its argument (`set_x`) counts too.
    Not counted: hooks of an imported module (`sys.excepthook`), and attributes of libraries that are listed above.
    Not seen: callables in lists and dictionaries, and objects with `__call__`.
    """
    slots, functions = _callable_attributes(modules), _function_names(modules)
    aliases = _callable_aliases(modules)
    found: list[Finding] = []
    for module in modules:
        imported = _imported_modules(module)
        for function, assignment in _assignments(module):
            known = functions | _callable_parameters(function, aliases)
            for target, value in pairs(assignment):
                in_constructor = function is not None and function.name in CONSTRUCTORS and is_of_self(target)
                if in_constructor or not isinstance(target, ast.Attribute) or last_name(target.value) in imported:
                    continue
                if (module.path, ast.unparse(target)) in _SLOTS_OF_LIBRARIES:
                    continue
                if _is_callable(value, known) or _fills_slot(target, value, slots):
                    found.append(Finding(module.path, target.lineno, f"{ast.unparse(target)} is assigned a callable"))
    return sorted(found)


def default_callables(modules: Sequence[Module]) -> list[Finding]:
    """Callables that stand in for a collaborator that was not given.

    Counted: a lambda as the default of a parameter or of a class field (`default_factory` is none), and an attribute
    annotated with `Callable` whose first value in a constructor is a lambda or a function of the module.
    Not seen: a function of another module as the default of a parameter.
    """
    return sorted(finding for module in modules for finding in _default_callables(module))


def repeated_class_names(modules: Sequence[Module]) -> list[Finding]:
    """Class names that mean more than one thing: each name once, with all its places. Nested classes count."""
    places: defaultdict[str, list[tuple[str, int]]] = defaultdict(list)
    for module in modules:
        for node in module.nodes:
            if isinstance(node, ast.ClassDef):
                places[node.name].append((module.path, node.lineno))
    return sorted(
        Finding(*where[0], f"class {name} is also in {', '.join(f'{path}:{line}' for path, line in where[1:])}")
        for name, where in places.items()
        if len(where) > 1
    )


def local_imports(modules: Sequence[Module]) -> list[Finding]:
    """Imports within functions, one for each statement."""
    return sorted(
        Finding(module.path, node.lineno, ast.unparse(node)) for module in modules for node in _local_imports(module)
    )


def local_imports_without_reason(modules: Sequence[Module]) -> list[Finding]:
    """Imports within functions that do not state why they are there, one for each statement.

    A reason is a comment on a line of the statement, or a line above it with nothing but a comment. Imports that
    follow each other share one.
    """
    return sorted(finding for module in modules for finding in _unexplained_imports(module))


def long_functions(modules: Sequence[Module]) -> list[Finding]:
    """Functions of more than 60 lines; the nested ones count as lines of the outer one too."""
    return sorted(
        Finding(module.path, function.lineno, f"{function.name} has {lines} lines")
        for module in modules
        for function in _functions(module)
        if (lines := (function.end_lineno or function.lineno) - function.lineno + 1) > LONGEST_FUNCTION
    )


def settings_by_ending(modules: Sequence[Module]) -> list[Finding]:
    """Settings that are selected by the beginning or the ending of their names.

    Counted: a call of `startswith` or `endswith` within an argument of `watch(…)` or `subscribe(…)`.
    Not seen: the same in a function that is defined elsewhere.
    """
    return sorted(
        Finding(module.path, inner.lineno, f"settings matched by name: {ast.unparse(inner)}")
        for module in modules
        for call in module.nodes
        if isinstance(call, ast.Call) and _called(call) in _SUBSCRIPTIONS
        for argument in (*call.args, *(keyword.value for keyword in call.keywords))
        for inner in ast.walk(argument)
        if isinstance(inner, ast.Call) and _called(inner) in _ENDING_CHECKS
    )


def late_collaborators(modules: Sequence[Module]) -> list[Finding]:
    """Attributes that begin as None and that the composition always sets.

    Counted: `self.x: X | None = None` in a constructor, or such a field of a class, where X is a class of these modules
    and a module of the composition assigns `….x` outside of any `if`, not to `self`. Attributes are matched by name
    alone, so one that the composition sets on another class counts too.
    Not seen: parameters with the default None for which every caller gives a value.
    """
    classes = {node.name for module in modules for node in module.nodes if isinstance(node, ast.ClassDef)}
    composed = {name for module in modules if module.path.startswith(_COMPOSITION) for name in _always_set(module)}
    return sorted(
        Finding(module.path, line, f"{name}: {ast.unparse(annotation)} is always set by the composition")
        for module in modules
        for name, annotation, value, line in _annotated_attributes(module)
        if name in composed and _is_none(value) and _is_optional(annotation, classes)
    )


Rule: TypeAlias = Callable[[Sequence[Module]], list[Finding]]
RULES: Final[Mapping[str, Rule]] = {
    "callables assigned after construction": late_callables,
    "default callables": default_callables,
    "class names used twice": repeated_class_names,
    "function-level imports": local_imports,
    "function-level imports without a reason": local_imports_without_reason,
    "functions over 60 lines": long_functions,
    "settings matched by their ending": settings_by_ending,
    "collaborators set after construction": late_collaborators,
    "types with parts of more than two layers": wide_types,
    "listeners of auxiliary components that can raise": raising_listeners,
    "casts": casts,
    "suppressed lints": suppressed_lints,
    "functions with eight or more parameters": long_parameter_lists,
    "suppressed types": suppressed_types,
    "uses of Any": uses_of_any,
    "methods that store a callable or a part late": late_parts,
}


def _functions(module: Module) -> Iterator[Function]:
    return (node for node in module.nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def _unexplained_imports(module: Module) -> Iterator[Finding]:
    imports = {node.lineno: node for node in _local_imports(module)}
    if not imports:
        return
    comments = _comments(module.source)
    alone = {line for line, begins_line in comments.items() if begins_line}
    filled = {line for line, text in enumerate(module.source.splitlines(), start=1) if text.strip()}
    last_explained = 0
    for first, node in sorted(imports.items()):
        last = node.end_lineno or first
        above = max((line for line in filled if line < first), default=0)
        if first - 1 in alone or comments.keys() & range(first, last + 1) or above == last_explained:
            last_explained = last
        else:
            yield Finding(module.path, first, ast.unparse(node))


def _comments(source: str) -> dict[int, bool]:
    """The lines with comments, with whether a line has nothing else."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {token.start[0]: token.line.lstrip().startswith("#") for token in tokens if token.type == tokenize.COMMENT}


def _local_imports(module: Module) -> Iterator[ast.Import | ast.ImportFrom]:
    for function in _functions(module):
        for node in _own_nodes(function):
            if isinstance(node, ast.Import | ast.ImportFrom):
                yield node


def _own_nodes(scope: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a function or module without those of functions inside it, in any order."""
    scopes = [scope]
    while scopes:
        for child in ast.iter_child_nodes(scopes.pop()):
            yield child
            if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                scopes.append(child)


def _assignments(module: Module) -> Iterator[tuple[Function | None, ast.Assign | ast.AnnAssign]]:
    """All assignments, with the innermost function around each."""
    scopes: list[Function | None] = [None, *_functions(module)]
    for scope in scopes:
        for node in _own_nodes(module.tree if scope is None else scope):
            if isinstance(node, ast.Assign | ast.AnnAssign):
                yield scope, node


def _annotated_attributes(module: Module) -> Iterator[tuple[str, ast.expr, ast.expr | None, int]]:
    """Name, annotation, first value and line of each class field and of each `self.x: …` in a constructor."""
    for node in module.nodes:
        if not isinstance(node, ast.ClassDef):
            continue
        constructors = (inner for inner in node.body if isinstance(inner, ast.FunctionDef))
        bodies: list[Iterable[ast.AST]] = [node.body, *map(ast.walk, constructors)]
        for statement in (inner for body in bodies for inner in body):
            match statement:
                case (
                    ast.AnnAssign(target=ast.Name(id=name))
                    | ast.AnnAssign(target=ast.Attribute(value=ast.Name(id="self"), attr=name))
                ):
                    yield name, statement.annotation, statement.value, statement.lineno
                case _:
                    pass


def _imported_modules(module: Module) -> frozenset[str]:
    imports = [node for node in module.nodes if isinstance(node, ast.Import)]
    return frozenset(alias.asname or alias.name for node in imports for alias in node.names)


def _callable_aliases(modules: Sequence[Module]) -> frozenset[str]:
    """Names that stand for a callable type: `Errand = Callable[…]`, and `Callable` itself."""
    names = {"Callable"}
    for module in modules:
        for statement in module.tree.body:
            for target, value in pairs(statement) if isinstance(statement, ast.Assign | ast.AnnAssign) else ():
                if (
                    isinstance(target, ast.Name)
                    and isinstance(value, ast.Subscript)
                    and last_name(value.value) in names
                ):
                    names.add(target.id)
    return frozenset(names)


def _callable_parameters(function: Function | None, aliases: frozenset[str]) -> frozenset[str]:
    if function is None:
        return frozenset()
    parameters = (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)
    annotated = ((parameter.arg, parameter.annotation) for parameter in parameters if parameter.annotation is not None)
    return frozenset(name for name, annotation in annotated if _is_callable_type(annotation, aliases))


def _callable_attributes(modules: Sequence[Module]) -> dict[str, bool]:
    """Attributes that are callables, with whether they are so in every class that has one of that name."""
    aliases = _callable_aliases(modules)
    kinds: defaultdict[str, set[bool]] = defaultdict(set)
    for module in modules:
        for name, annotation, _, _ in _annotated_attributes(module):
            kinds[name].add(_is_callable_type(annotation, aliases))
    return {name: kind == {True} for name, kind in kinds.items() if True in kind}


def _is_callable_type(annotation: ast.expr, aliases: frozenset[str]) -> bool:
    """Whether it is a callable, or one or None; a list of callables is none."""
    match annotation:
        case ast.Subscript(value=outer):
            return last_name(outer) in aliases
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _is_callable_type(left, aliases) or _is_callable_type(right, aliases)
        case _:
            return last_name(annotation) in aliases


def _function_names(modules: Sequence[Module]) -> frozenset[str]:
    """Names that only functions and methods have: properties are values, and classes are not meant."""
    functions: set[str] = set()
    values: set[str] = set()
    for module in modules:
        for node in module.nodes:
            match node:
                case ast.FunctionDef() | ast.AsyncFunctionDef():
                    is_property = any("property" in ast.unparse(decorator) for decorator in node.decorator_list)
                    (values if is_property else functions).add(node.name)
                case ast.arg(arg=name) | ast.Name(id=name, ctx=ast.Store()):
                    values.add(name)
                case ast.Attribute(attr=name, ctx=ast.Store()):
                    values.add(name)
                case _:
                    pass
    return frozenset(functions - values)


def _is_callable(value: ast.expr, functions: frozenset[str]) -> bool:
    if isinstance(value, ast.Call):
        return _called(value) == "partial"
    return isinstance(value, ast.Lambda) or last_name(value) in functions


def _fills_slot(target: ast.Attribute, value: ast.expr, slots: Mapping[str, bool]) -> bool:
    """Whether it is an attribute for a callable that is set; where the name may be a value's too, by how it looks."""
    if target.attr not in slots or not _is_new_value(value):
        return False
    return slots[target.attr] or (isinstance(value, ast.Attribute) and not is_of_self(target))


def _is_new_value(value: ast.expr) -> bool:
    """Whether it may be a callable: neither None nor what a call returned."""
    return not _is_none(value) and not isinstance(value, ast.Call | ast.Constant)


def _default_callables(module: Module) -> Iterator[Finding]:
    for node in module.nodes:
        if isinstance(node, ast.arguments):
            for default in (*node.defaults, *node.kw_defaults):
                if isinstance(default, ast.Lambda):
                    yield Finding(module.path, default.lineno, f"default of a parameter: {ast.unparse(default)}")
    aliases = _callable_aliases([module])
    own = {statement.name for statement in module.tree.body if isinstance(statement, Function)}
    for name, annotation, value, line in _annotated_attributes(module):
        given = _field_default(value)
        is_stand_in = isinstance(given, ast.Name) and given.id in own and _is_callable_type(annotation, aliases)
        if given is not None and (isinstance(given, ast.Lambda) or is_stand_in):
            yield Finding(module.path, line, f"default of {name}: {ast.unparse(given)}")


def _field_default(value: ast.expr | None) -> ast.expr | None:
    """What a class field is by default: the value, or the `default` of `field(…)`."""
    if isinstance(value, ast.Call) and _called(value) in {"field", "Field"}:
        return next((keyword.value for keyword in value.keywords if keyword.arg == "default"), None)
    return value


def _always_set(module: Module) -> Iterator[str]:
    """Attributes of others that are assigned outside of any branch."""
    branches = (ast.If, ast.IfExp, ast.Match, ast.While, ast.Try)
    inside = {id(inner) for node in module.nodes if isinstance(node, branches) for inner in ast.walk(node)}
    for _, assignment in _assignments(module):
        for target, value in pairs(assignment):
            if not isinstance(target, ast.Attribute) or is_of_self(target):
                continue
            if not _is_none(value) and id(assignment) not in inside:
                yield target.attr


def _is_optional(annotation: ast.expr, classes: set[str]) -> bool:
    match annotation:
        case ast.BinOp(left=left, op=ast.BitOr(), right=ast.Constant(value=None)):
            return last_name(left) in classes
        case _:
            return False


def _is_none(value: ast.expr | None) -> bool:
    return isinstance(value, ast.Constant) and value.value is None


def _called(call: ast.Call) -> str | None:
    return last_name(call.func)
