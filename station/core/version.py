"""The version of this software."""

from __future__ import annotations

from importlib import metadata


def package_version() -> str:
    """The version of the installed package; "unpackaged" when it runs from a source tree."""
    try:
        return metadata.version("borne")
    except metadata.PackageNotFoundError:
        return "unpackaged"
