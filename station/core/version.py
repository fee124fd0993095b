"""The version of this software, and what it was built from."""

from __future__ import annotations

import os
import sys
from functools import cache
from pathlib import Path
from typing import Final

from msgspec import MsgspecError
from msgspec.json import decode

from foundation.frozen import Frozen

_PREFIX: Final = "borne-"
_SUFFIX: Final = ".dist-info"
_BUILD_FILE: Final = "build.json"


class Build(Frozen):
    """What a package or an image was built from."""

    commit: str
    """hexadecimal"""
    modified: bool
    """whether the files differed from those of the commit"""
    date: str
    """the date of the commit, as in ISO 8601"""

    def __str__(self) -> str:
        """The first digits of the commit, and the date."""
        return f"commit {self.commit[:12]}{' with changes' if self.modified else ''}, {self.date}"


@cache
def package_version() -> str:
    """The version of the installed package; "unpackaged" when it runs from a source tree.

    Taken from the name of the folder that describes the package: `importlib.metadata` costs 10 ms of a start.
    """
    folder = _description()
    return folder.name[len(_PREFIX) : -len(_SUFFIX)] if folder is not None else "unpackaged"


@cache
def package_build() -> Build | None:
    """The commit that the installed package was built from; None in a checkout, which is no build."""
    folder = _description()
    try:
        return decode((folder / _BUILD_FILE).read_bytes(), type=Build) if folder is not None else None
    except (OSError, MsgspecError):
        return None


@cache
def _description() -> Path | None:
    """The folder that describes the installed package."""
    for folder in sys.path:
        try:
            names = os.listdir(folder or ".")
        except OSError:
            continue
        for name in names:
            if name.startswith(_PREFIX) and name.endswith(_SUFFIX):
                return Path(folder, name)
    return None
