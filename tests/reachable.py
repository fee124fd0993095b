"""A walk over the objects that another object refers to, such as all parts of a running station."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from types import FrameType, FunctionType, ModuleType
from typing import TypeVar

T = TypeVar("T")


def reachable_instances(root: object, kind: type[T]) -> list[T]:
    """The objects of a class that another object refers to, directly or through others."""
    return [one for one in reachable(root) if isinstance(one, kind)]


def reachable(root: object) -> Iterator[object]:
    """Yield `root` and all objects that it refers to, directly or through others; not what only modules refer to."""
    seen, waiting = {id(root)}, [root]
    while waiting:
        found = waiting.pop()
        yield found
        for one in _referents(found):
            if id(one) not in seen and not isinstance(one, type | ModuleType | FrameType):
                seen.add(id(one))
                waiting.append(one)


def _referents(found: object) -> list[object]:
    if isinstance(found, FunctionType):  # not its globals
        return [found.__closure__, found.__defaults__, found.__kwdefaults__]
    return gc.get_referents(found)
