"""Checks the Host header of a request against DNS rebinding."""

from __future__ import annotations

import ipaddress
import re

_HOST_NAME = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?")
"""a host name in a Host header (RFC 9110 7.2); other values, except IP addresses, are refused"""
_PRIVATE_ENDINGS = (".local", ".localhost", ".internal", ".home.arpa", ".lan")
"""suffixes that do not exist in the public DNS, so no foreign page can use such a name"""


def name_of_host(header: str) -> str:
    """The name or IP address in a Host header, in lower case and without its port."""
    host = header.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0] if host.count(":") == 1 else host


def is_own_name(name: str, names: tuple[str, ...]) -> bool:
    """Return whether a host name cannot be one of the public DNS, is in `names`, or is an IP address.

    Names of the public DNS are refused since a foreign page can direct its own name to this machine (DNS rebinding).
    """
    if not name:
        return False
    try:
        ipaddress.ip_address(name)
    except ValueError:
        if _HOST_NAME.fullmatch(name) is None:
            return False
        without_dot = name.rstrip(".")
        return (
            "." not in without_dot
            or without_dot.endswith(_PRIVATE_ENDINGS)
            or without_dot in {own_name.lower() for own_name in names}
        )
    return True
