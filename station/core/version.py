"""The version of this software."""

from __future__ import annotations


def package_version() -> str:
    """The version of the installed package; "unpackaged" when it runs from a source tree."""
    from importlib import metadata  # imported on demand, to keep the start fast

    try:
        return metadata.version("borne")
    except metadata.PackageNotFoundError:
        return "unpackaged"
