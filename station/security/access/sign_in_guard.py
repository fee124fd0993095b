"""Limits password guessing: a delay per source that doubles with each failed attempt, in bounded memory. Pure.

Each role is counted separately, so that a correct password of a lower role does not speed up guessing a higher one.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from station.security.access.accounts import Role

_MAX_SOURCES = 1024
_FREE_ATTEMPTS = 3
"""failed attempts without delay"""
_FIRST_S = 2.0
_LONGEST_S = 900.0
_FREE_ATTEMPTS_OVERALL = 30
"""failed attempts of all sources together, before all sources without a recent success are delayed"""
_LONGEST_OVERALL_S = 30.0
"""maximum of that delay; short, so that an attacker with many addresses cannot lock out others for long"""
_FORGET_S = 86_400.0


@dataclass(slots=True)
class _Attempts:
    failures: int = 0
    open_at_s: float = 0.0
    last_s: float = 0.0
    successful: bool = False
    """whether the last attempt was correct"""


class SignInGuard:
    """Counts failed sign-in attempts per role and source address, and computes the delay before the next; in memory."""

    def __init__(self) -> None:
        self._sources: OrderedDict[tuple[Role, str], _Attempts] = OrderedDict()
        self._all_sources = _Attempts()

    def wait_s(self, role: Role, address: str, now_s: float) -> float:
        """Seconds until the next sign-in attempt for this role from this address is accepted; 0 if allowed now.

        `now_s`: monotonic. Counts nothing.
        """
        attempts = self._sources.get((role, _source(address)))
        source_wait_s = attempts.open_at_s - now_s if attempts is not None else 0.0
        trusted = attempts is not None and attempts.successful
        return max(0.0, source_wait_s, 0.0 if trusted else self._all_sources.open_at_s - now_s)

    def record_attempt(self, role: Role, address: str, now_s: float, *, successful: bool) -> None:
        """Count an attempt: a failure lengthens the delay, a success clears that of this role and address.

        Call with `successful=False` before verifying, so that concurrent attempts count, and again after a success.
        `now_s`: monotonic.
        """
        source = (role, _source(address))
        attempts = self._sources.pop(source, None) or _Attempts()
        self._sources[source] = attempts
        while len(self._sources) > _MAX_SOURCES:
            self._sources.popitem(last=False)
        if successful:
            self._sources[source] = _Attempts(last_s=now_s, successful=True)
            # It was counted as a failure before verifying.
            self._all_sources.failures = max(0, self._all_sources.failures - 1)
            return
        attempts.successful = False
        _record_failure(attempts, now_s, _FREE_ATTEMPTS, _LONGEST_S)
        _record_failure(self._all_sources, now_s, _FREE_ATTEMPTS_OVERALL, _LONGEST_OVERALL_S)


def _record_failure(attempts: _Attempts, now_s: float, free_attempts: int, longest_s: float) -> None:
    if now_s - attempts.last_s > _FORGET_S:
        attempts.failures = 0
    attempts.failures += 1
    attempts.last_s = now_s
    if (excess := attempts.failures - free_attempts) > 0:
        attempts.open_at_s = now_s + min(longest_s, _FIRST_S * 2.0 ** min(excess - 1, 20))


def _source(address: str) -> str:
    """The source of an address: an IPv6 address is reduced to its /64 network."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is None:
        return str(ipaddress.ip_network((int(ip) >> 64 << 64, 64)))
    return str(ip)
