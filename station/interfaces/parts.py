"""The registry of station parts that the routes of the local API use, by type (see `api/dependencies`).

One application serves any number of stations: the parts for a request are found through its ASGI scope.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final, Generic, TypeVar, cast

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection
    from starlette.types import ASGIApp, Receive, Scope, Send

_Part = TypeVar("_Part")
_SCOPE_KEY: Final = "borne.parts"


class PartKey(Generic[_Part]):
    """A key of `StationParts` for a part that its class cannot identify: a Protocol, or one of several instances."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return f"PartKey({self._name!r})"


class StationParts:
    """The registry in which routes find the objects of one station ("parts"), each by its class or key.

    The parts of the installation are always available; those of the running station only while it runs: each start
    creates new `StationParts`, which also find the parts of the installation. Only the composition adds parts.
    """

    def __init__(self, installation: StationParts | None = None) -> None:
        self._installation = installation
        self._makers: dict[object, Callable[[], object]] = {}
        self._built: dict[object, object] = {}
        self._current: dict[object, Callable[[], object]] = {}
        self._to_add: list[Callable[[], None]] = []
        self.running = installation is not None
        """whether the station runs: False while its power is cut and while it restarts"""

    def add(self, kind: type[_Part] | PartKey[_Part], part: _Part) -> None:
        """Register a part under its class or key, in place of a former one."""
        self._built[kind] = part

    def add_lazy(self, kind: type[_Part] | PartKey[_Part], make: Callable[[], _Part]) -> None:
        """Register a part that `make` creates when it is first requested; it is kept from then on."""
        self._makers[kind] = make

    def add_current(self, kind: type[_Part] | PartKey[_Part], read: Callable[[], _Part | None]) -> None:
        """Register a part that may change: `read` is called at each request; it returns None while there is none."""
        self._current[kind] = read

    def add_on_demand(self, add: Callable[[], None]) -> None:
        """Register a function that adds more parts; it is called when a part is requested that was not added before.

        So a start loads no modules for an unused page. If `add` fails, it is called again at the next such request.
        """
        self._to_add.append(add)

    def find(self, kind: type[_Part] | PartKey[_Part]) -> _Part | None:
        """The part with this class or key, created if necessary, else that of the installation, else None."""
        found = self._find_own(kind)
        while found is None and self._to_add and kind not in self._current:
            self._add_next()
            found = self._find_own(kind)
        return self._installation.find(kind) if found is None and self._installation is not None else found

    def get(self, kind: type[_Part] | PartKey[_Part]) -> _Part:
        """The part with this class or key, as `find` returns it.

        Raises:
            LookupError: there is no such part.
        """
        found = self.find(kind)
        if found is None:
            raise LookupError(f"the station has no part {kind!r}")
        return found

    def _find_own(self, kind: type[_Part] | PartKey[_Part]) -> _Part | None:
        """The part with this class or key, if it has been added to this registry."""
        if (read := self._current.get(kind)) is not None:
            return cast("_Part | None", read())
        if kind not in self._built and (make := self._makers.get(kind)) is not None:
            self._built[kind] = make()
        return cast("_Part | None", self._built.get(kind))

    def _add_next(self) -> None:
        """Add the next parts on demand; a failure leaves the registry as it was."""
        add, built, makers = self._to_add.pop(0), dict(self._built), dict(self._makers)

        def restore() -> None:
            self._to_add.insert(0, add)
            self._built, self._makers = built, makers

        with ExitStack() as on_failure:
            on_failure.callback(restore)
            add()
            on_failure.pop_all()


def parts_of(request: HTTPConnection) -> StationParts:
    """The parts of a request's station as they are now; after a restart since the request began, the new ones."""
    parts: Callable[[], StationParts] = request.scope[_SCOPE_KEY]
    return parts()


class WithParts:
    """ASGI middleware that binds the requests to `app` to one station; `parts` returns that station's current parts."""

    def __init__(self, app: ASGIApp, parts: Callable[[], StationParts]) -> None:
        self._app = app
        self._parts = parts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on to the application, with the function `parts` in its scope, where `parts_of` finds it."""
        if scope["type"] == "http":
            scope[_SCOPE_KEY] = self._parts
        await self._app(scope, receive, send)
