"""Builds the root file system of an image: a small Debian 13 with the package of the program.

Debian's packages come from the sources of the machine that builds, if it runs Debian 13 itself, else from Debian's
servers. The same packages yield the same files.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tools.delivery.source_tree import SourceTree, run

SUITE: Final = "trixie"
_SOURCES: Final = Path("/etc/apt/sources.list.d/debian.sources")
BASE_PACKAGES: Final = ("ca-certificates", "dbus", "iproute2", "kmod", "systemd-sysv", "tzdata", "udev")
"""what every image contains besides Debian's essential packages and those that the program depends on"""
_LEFT_OUT: Final = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*")
_KEPT: Final = ("/usr/share/doc/*/copyright", "/usr/share/doc/borne/*", "/usr/share/man/man*/borne*")


def build_root(
    source: SourceTree,
    package: Path,
    target: Path,
    more: Sequence[str] = (),
    *,
    files: Path | None = None,
    steps: Sequence[str] = (),
) -> None:
    """Write a root file system into the new folder `target`.

    `more`: further Debian packages; `files`: a folder that is copied into it before they are installed; `steps`: shell
    commands that are run at the end, in which `$1` is the root.

    Raises:
        DeliveryError: mmdebstrap is missing or fails.
    """
    run(
        *("mmdebstrap", "--variant=minbase", "--mode=root", "--format=directory", *path_filters()),
        *("--dpkgopt=force-confold", f"--include={','.join([*BASE_PACKAGES, *more])}"),
        *([] if files is None else [f"--essential-hook=cp --recursive {files}/. $1/"]),
        f"--customize-hook=cp {package} $1/tmp/borne.deb",
        "--customize-hook=chroot $1 apt-get install --yes --no-install-recommends /tmp/borne.deb",
        "--customize-hook=rm $1/tmp/borne.deb",
        *(f"--customize-hook={step}" for step in steps),
        *(SUITE, target, *debian_sources()),
        environment={**os.environ, **source.environment(), "DEBIAN_FRONTEND": "noninteractive"},
    )


def path_filters() -> list[str]:
    """Arguments of mmdebstrap that leave out documents and translations, but for the licences."""
    filters = [f"--dpkgopt=path-exclude={pattern}" for pattern in _LEFT_OUT]
    return filters + [f"--dpkgopt=path-include={pattern}" for pattern in _KEPT]


def debian_sources() -> list[str]:
    """The argument of mmdebstrap that names the sources of this machine; empty if it does not run Debian 13."""
    return [str(_SOURCES)] if _SOURCES.exists() and f"Suites: {SUITE}" in _SOURCES.read_text("utf-8") else []
