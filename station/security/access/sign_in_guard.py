"""Limits password guessing: a delay per source that doubles with each wrong attempt, in bounded memory. Pure.

Each role is counted separately, so that a correct password of a lower role does not speed up guessing a higher one.
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
"""wrong attempts without delay"""
_FIRST_S = 2.0
_LONGEST_S = 900.0
_FREE_OVERALL = 30
"""wrong attempts of all sources together, before all sources without a recent success are delayed"""
_LONGEST_OVERALL_S = 30.0
"""maximum of that delay; short, so that an attacker with many addresses cannot lock out others for long"""
_FORGET_S = 86_400.0


@dataclass(slots=True)
class _Tries:
    wrong: int = 0
    open_at_s: float = 0.0
    last_s: float = 0.0
    right: bool = False
    """whether the last attempt was correct"""


class SignInGuard:
    """Computes the delay before the next sign-in attempt per role and address."""

    def __init__(self) -> None:
        self._sources: OrderedDict[tuple[Role, str], _Tries] = OrderedDict()
        self._overall = _Tries()

    def wait_s(self, role: Role, address: str, now_s: float) -> float:
        """Seconds until the next sign-in attempt for this role from this address is accepted; 0 if allowed now."""
        tries = self._sources.get((role, _source(address)))
        own_s = tries.open_at_s - now_s if tries is not None else 0.0
        trusted = tries is not None and tries.right
        return max(0.0, own_s, 0.0 if trusted else self._overall.open_at_s - now_s)

    def note(self, role: Role, address: str, now_s: float, *, right: bool) -> None:
        """Count an attempt; call with `right=False` before verifying, so that concurrent attempts count as well."""
        source = (role, _source(address))
        tries = self._sources.pop(source, None) or _Tries()
        self._sources[source] = tries
        while len(self._sources) > _MOST_SOURCES:
            self._sources.popitem(last=False)
        if right:
            self._sources[source] = _Tries(last_s=now_s, right=True)
            self._overall.wrong = max(0, self._overall.wrong - 1)  # it was counted as wrong before verifying
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
    """The source of an address: an IPv6 address is reduced to its /64 network."""
    try:
        known = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(known, ipaddress.IPv6Address) and known.ipv4_mapped is None:
        return str(ipaddress.ip_network((int(known) >> 64 << 64, 64)))
    return str(known)
