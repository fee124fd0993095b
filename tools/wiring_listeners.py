"""The rule of `tools.wiring` about listeners of auxiliary components: their errors have to be contained."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from tools.wiring_syntax import Finding, Module, last_name

_AUXILIARY_MODULES: Final = (
    "ocpp_handlers/",
    "station/interfaces/",
    "station/display/",
    "station/maintenance/",
    "simulator/",
    "borne/",
)
"""path prefixes of the modules that subscribe auxiliary components"""
RAISING: Final[Mapping[tuple[str, str], str]] = {
    ("borne/composition/load.py", "decisions.before_decision.subscribe"): "the end of a limit is part of a decision",
    ("borne/composition/load.py", "load.profiles.store.changed.subscribe"): "a charging profile limits the current",
    ("borne/composition/load.py", "load.limits.changed.subscribe"): "a limit for all EVSEs limits the current",
    (
        "borne/composition/station_assembly.py",
        "activation.changed.subscribe",
    ): "no activation, no charge",
    ("borne/demo/run.py", "demo.remarks.subscribe"): "an event of the demonstration: no station publishes it",
    ("borne/fleet/live_view.py", "run.sampled.subscribe"): "an event of the fleet's engine: no station publishes it",
    ("borne/fleet/live_view.py", "run.remarks.subscribe"): "an event of the fleet's engine: no station publishes it",
}
"""subscriptions there whose listener may raise into the publisher, each with its reason: mostly what charging needs"""
_LISTENER_PARAMETERS: Final[Mapping[str, str]] = {
    "watch_zone": "contained",
    "delay_while": "ask",
    "refuse_while": "ask",
}
"""functions of essential components that store a callable, and the method of `AuxiliaryCalls` that must wrap it"""


def raising_listeners(modules: Sequence[Module]) -> list[Finding]:
    """Callables with which auxiliary components can raise into a task that publishes an event or asks a question.

    Counted, in packages of auxiliary components and in the composition: `event.subscribe(listener)`,
    `subscribe_exclusive` and `add_subscription`, also as a value, instead of `auxiliary.subscribe(event, listener)`;
    and an argument of the functions in `_LISTENER_PARAMETERS` that does not go through `AuxiliaryCalls`.
    Not counted: what `RAISING` lists, and what is awaited or entered with `with`, as no subscription to an `Event` is.
    Not detected: other functions that keep a callable, and objects of auxiliary components that essential ones call.
    """
    return sorted(
        finding
        for module in modules
        if module.path.startswith(_AUXILIARY_MODULES)
        for finding in (*_raising_subscriptions(module), *_uncontained_arguments(module))
    )


def _raising_subscriptions(module: Module) -> Iterator[Finding]:
    accepted = {id(call.func) for call in _other_calls(module)}
    for node in module.nodes:
        if not isinstance(node, ast.Attribute) or node.attr not in {
            "subscribe",
            "subscribe_exclusive",
            "add_subscription",
        }:
            continue
        text = ast.unparse(node)
        if id(node) not in accepted and (module.path, text) not in RAISING:
            yield Finding(module.path, node.lineno, f"{text}: the listener can raise into the publisher")


def _other_calls(module: Module) -> Iterator[ast.Call]:
    """The calls that subscribe nothing to an `Event`, or do so through `AuxiliaryCalls`, which takes two arguments."""
    for node in module.nodes:
        match node:
            case ast.Call() if len(node.args) + len(node.keywords) > 1:
                yield node
            case ast.Await(value=ast.Call() as call) | ast.withitem(context_expr=ast.Call() as call):
                yield call
            case _:
                pass


def _uncontained_arguments(module: Module) -> Iterator[Finding]:
    for node in module.nodes:
        if not isinstance(node, ast.Call) or (method := _LISTENER_PARAMETERS.get(last_name(node.func) or "")) is None:
            continue
        inner = (inner_node for argument in node.args for inner_node in ast.walk(argument))
        if not any(isinstance(inner_node, ast.Call) and last_name(inner_node.func) == method for inner_node in inner):
            yield Finding(module.path, node.lineno, f"{ast.unparse(node)}: does not go through AuxiliaryCalls.{method}")
