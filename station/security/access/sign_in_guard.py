"""Makes guessing slow: whoever is wrong waits, twice as long each time, and the memory of it is bounded. Pure.

Each role is counted for itself: who knows a lesser password may guess no faster at a greater one.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from station.security.access.accounts import Role

_MOST_SOURCES = 1024
_FREE = 3
"""wrong passwords that anybody may mistype"""
_FIRST_S = 2.0
_LONGEST_S = 900.0
_FREE_OVERALL = 30
"""wrong ones by everybody together, before whoever has not been right lately waits as well"""
_LONGEST_OVERALL_S = 30.0
"""short, so that nobody who changes addresses keeps others out for long"""
_FORGET_S = 86_400.0


@dataclass(slots=True)
class _Tries:
    wrong: int = 0
    open_at_s: float = 0.0
    last_s: float = 0.0
    right: bool = False
    """whether the last one was right"""


class SignInGuard:
    """Who has to wait before the next password is looked at."""

    def __init__(self) -> None:
        self._sources: OrderedDict[tuple[Role, str], _Tries] = OrderedDict()
        self._overall = _Tries()

    def wait_s(self, role: Role, address: str, now_s: float) -> float:
        """So long is no password of this role from this address looked at; 0: now."""
        tries = self._sources.get((role, _source(address)))
        own_s = tries.open_at_s - now_s if tries is not None else 0.0
        trusted = tries is not None and tries.right
        return max(0.0, own_s, 0.0 if trusted else self._overall.open_at_s - now_s)

    def note(self, role: Role, address: str, now_s: float, *, right: bool) -> None:
        """A password is being looked at, which counts as wrong until it was right: many at once are many tries."""
        source = (role, _source(address))
        tries = self._sources.pop(source, None) or _Tries()
        self._sources[source] = tries
        while len(self._sources) > _MOST_SOURCES:
            self._sources.popitem(last=False)
        if right:
            self._sources[source] = _Tries(last_s=now_s, right=True)
            self._overall.wrong = max(0, self._overall.wrong - 1)  # it counted as wrong while it was looked at
            return
        tries.right = False
        _wrong(tries, now_s, _FREE, _LONGEST_S)
        _wrong(self._overall, now_s, _FREE_OVERALL, _LONGEST_OVERALL_S)


def _wrong(tries: _Tries, now_s: float, free: int, longest_s: float) -> None:
    if now_s - tries.last_s > _FORGET_S:
        tries.wrong = 0
    tries.wrong += 1
    tries.last_s = now_s
    if (over := tries.wrong - free) > 0:
        tries.open_at_s = now_s + min(longest_s, _FIRST_S * 2.0 ** min(over - 1, 20))


def _source(address: str) -> str:
    """What one person can have many of counts as one: an IPv6 network of 64 bits."""
    try:
        known = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(known, ipaddress.IPv6Address) and known.ipv4_mapped is None:
        return str(ipaddress.ip_network((int(known) >> 64 << 64, 64)))
    return str(known)
