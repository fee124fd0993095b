"""A walk over the objects that another object refers to, such as all parts of a running station."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from types import FrameType, FunctionType, ModuleType
from typing import TypeVar

T = TypeVar("T")


def reachable_instances(root: object, kind: type[T]) -> list[T]:
    """The objects of a class that another object refers to, directly or through others."""
    return [found for found in reachable(root) if isinstance(found, kind)]


def reachable(root: object) -> Iterator[object]:
    """Yield `root` and all objects that it refers to, directly or through others; not what only modules refer to."""
    visited, waiting = {id(root)}, [root]
    while waiting:
        found = waiting.pop()
        yield found
        for referent in _referents(found):
            if id(referent) not in visited and not isinstance(referent, type | ModuleType | FrameType):
                visited.add(id(referent))
                waiting.append(referent)


def _referents(found: object) -> list[object]:
    if isinstance(found, FunctionType):  # not its globals
        return [found.__closure__, found.__defaults__, found.__kwdefaults__]
    return gc.get_referents(found)
