"""The rules of `tools.wiring` about ways around the type checker and the linters, and about parts that are set late."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from typing import Final

from tools.wiring_syntax import CONSTRUCTORS, Finding, Function, Module, is_of_self, last_name

_SUPPRESSED_LINT: Final = re.compile(r"#\s*(noqa|fmt:\s*(off|skip))")
_LONG_PARAMETER_LIST: Final = re.compile(r"#\s*noqa:\s*PLR0913\b")
_SUPPRESSED_TYPE: Final = re.compile(r"#\s*(pyright:\s*ignore|type:\s*ignore)")
_STORING_METHODS: Final = frozenset({"append", "add", "insert", "setdefault", "appendleft"})


def casts(modules: Sequence[Module]) -> list[Finding]:
    """Calls of `cast`, each of which the type checker believes."""
    return sorted(
        Finding(module.path, node.lineno, ast.unparse(node)[:80])
        for module in modules
        for node in module.nodes
        if isinstance(node, ast.Call) and last_name(node.func) == "cast"
    )


def suppressed_lints(modules: Sequence[Module]) -> list[Finding]:
    """Comments that silence ruff or its formatter, but for those of `long_parameter_lists`."""
    long_lists = set(long_parameter_lists(modules))
    return [finding for finding in _comments(modules, _SUPPRESSED_LINT) if finding not in long_lists]


def long_parameter_lists(modules: Sequence[Module]) -> list[Finding]:
    """Functions with eight or more parameters (ruff's PLR0913, which a comment silences)."""
    return _comments(modules, _LONG_PARAMETER_LIST)


def suppressed_types(modules: Sequence[Module]) -> list[Finding]:
    """Comments that silence pyright."""
    return _comments(modules, _SUPPRESSED_TYPE)


def _comments(modules: Sequence[Module], pattern: re.Pattern[str]) -> list[Finding]:
    return sorted(
        Finding(module.path, token.start[0], token.string[:80])
        for module in modules
        for token in module.comments(pattern)
    )


def uses_of_any(modules: Sequence[Module]) -> list[Finding]:
    """Uses of `Any` of `typing`, by name; imports not counted."""
    return sorted(
        Finding(module.path, node.lineno, "Any")
        for module in modules
        for node in module.nodes
        if isinstance(node, ast.Name) and node.id == "Any"
    )


def late_parts(modules: Sequence[Module]) -> list[Finding]:
    """Methods that store a callable, or an object with a `Protocol` as its type, which was given after construction.

    Counted: a method that assigns such a parameter to an attribute of `self`, or adds it to one. Not counted:
    constructors, `subscribe` of events, and registrations (`register`, `on`), which exist for this.
    """
    contracts = _protocols(modules)
    found: list[Finding] = []
    for module in modules:
        for owner in module.nodes:
            if not isinstance(owner, ast.ClassDef):
                continue
            for method in owner.body:
                if isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef) and method.name not in CONSTRUCTORS:
                    stored_parameters = sorted(_stored_parameters(method, contracts))
                    found += [
                        Finding(module.path, method.lineno, f"{owner.name}.{method.name} keeps {name}")
                        for name in stored_parameters
                    ]
    return sorted(finding for finding in found if not re.search(r"\.(subscribe\w*|register|on)\b", finding.text))


def _protocols(modules: Sequence[Module]) -> frozenset[str]:
    """The names of the classes that are protocols."""
    return frozenset(
        node.name
        for module in modules
        for node in module.nodes
        if isinstance(node, ast.ClassDef)
        and any(last_name(base.value if isinstance(base, ast.Subscript) else base) == "Protocol" for base in node.bases)
    )


def _stored_parameters(method: Function, contracts: frozenset[str]) -> set[str]:
    """The parameters of a method that it stores: callables, and objects with one of these types."""
    parameters = {
        parameter.arg
        for parameter in (*method.args.posonlyargs, *method.args.args, *method.args.kwonlyargs)
        if parameter.annotation is not None
        and any(
            last_name(node) in contracts or last_name(node) == "Callable"
            for node in ast.walk(parameter.annotation)
            if isinstance(node, ast.Name | ast.Attribute)
        )
    }
    return {name for node in ast.walk(method) for name in _stored_names(node) if name in parameters}


def _stored_names(node: ast.AST) -> Iterator[str]:
    """The names that a statement assigns to attributes of `self`, or adds to what they hold."""
    match node:
        case ast.Assign(targets=targets, value=ast.Name(id=name)):
            for target in targets:
                held = target.value if isinstance(target, ast.Subscript) else target
                if is_of_self(held):
                    yield name
        case ast.Call(func=ast.Attribute(value=held, attr=action), args=arguments) if action in _STORING_METHODS:
            if is_of_self(held):
                yield from (argument.id for argument in arguments if isinstance(argument, ast.Name))
        case _:
            pass
