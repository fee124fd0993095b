"""The software in a station, with versions and licences: for the page "About" and the bill of materials."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import Distribution, PackageNotFoundError, distribution, distributions
from pathlib import Path
from typing import Final, Literal

from msgspec import convert

from foundation.frozen import Frozen
from station.core.version import package_version

ComponentKind = Literal["program", "library", "script", "font"]
"""program: this software; library: a Python package; script: JavaScript and styles of the page; font: of documents"""
_VENDORED_FILE: Final = Path(__file__).parents[2] / "station" / "vendored.toml"
_LICENCE_FILE: Final = re.compile(r"licen[cs]e|copying|notice", re.IGNORECASE)
_OWN_NAME: Final = "borne"
_DECLARED: Final[Mapping[str, str]] = {
    "aiomqtt": "BSD-3-Clause",
    "jinja2": "BSD-3-Clause",
    "mdurl": "MIT",
    "pyserial": "BSD-3-Clause",
    "segno": "BSD-3-Clause",
    "uvloop": "MIT OR Apache-2.0",
}
"""licences of packages whose metadata gives no SPDX expression, read from their licence files"""
_SPDX: Final[Mapping[str, str]] = {
    "Apache Software License": "Apache-2.0",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}
"""SPDX identifiers of the classifiers that mean one licence"""
_EXPRESSION: Final = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9.+-]*-[A-Za-z0-9.+-]+( (OR|AND|WITH) [A-Za-z0-9.+-]+)*|MIT|ISC|0BSD"
)
UNKNOWN_LICENCE: Final = "LicenseRef-unknown"
"""the licence of a package that declares none"""


class SoftwareComponent(Frozen):
    """A library or a file of others that this software contains."""

    name: str
    version: str
    kind: ComponentKind
    licence: str
    """an SPDX licence expression"""
    licence_files: tuple[Path, ...]
    """files with its licence and notices; may be empty"""

    def licence_text(self) -> str:
        """Read its licence files; empty if there are none.

        Raises:
            OSError: one cannot be read.
        """
        return "\n\n".join(file.read_text(encoding="utf-8", errors="replace").strip() for file in self.licence_files)


class VendoredComponent(Frozen):
    """An entry of station/vendored.toml; paths are relative to `station/`."""

    name: str
    version: str
    kind: ComponentKind
    licence: str
    licence_file: str
    use: str
    sha256: dict[str, str]
    """SHA-256 of each file, in hexadecimal, by its path"""


def vendored_components() -> list[VendoredComponent]:
    """Read the list of files of others in this package."""
    return convert(tomllib.loads(_VENDORED_FILE.read_text(encoding="utf-8"))["component"], list[VendoredComponent])


def software_components(path: Sequence[str] | None = None) -> list[SoftwareComponent]:
    """All installed Python packages but this one, and the files of others in it, by name.

    `path`: the folders to search, by default those of the running program. Reading the metadata takes some 50 ms: call
    it in a thread.
    """
    found = distributions() if path is None else distributions(path=list(path))
    libraries = {library.name: library for library in map(_library, found) if library.name != _OWN_NAME}
    return sorted([*libraries.values(), *_vendored()], key=lambda component: component.name)


def program_component() -> SoftwareComponent:
    """This software itself, as it is installed; without files in a source tree that is not installed."""
    try:
        found = distribution(_OWN_NAME)
    except PackageNotFoundError:
        return SoftwareComponent(_OWN_NAME, package_version(), "program", "Apache-2.0", ())
    component = _library(found)
    return SoftwareComponent(_OWN_NAME, component.version, "program", component.licence, component.licence_files)


def _vendored() -> Iterator[SoftwareComponent]:
    for entry in vendored_components():
        file = _VENDORED_FILE.parent / entry.licence_file
        yield SoftwareComponent(entry.name, entry.version, entry.kind, entry.licence, (file,))


def _library(found: Distribution) -> SoftwareComponent:
    name = re.sub(r"[-_.]+", "-", found.metadata["Name"]).lower()
    files = [file for file in found.files or () if _LICENCE_FILE.search(file.name) and _is_metadata(file.parts[0])]
    paths = tuple(sorted(Path(str(file.locate())) for file in files))
    return SoftwareComponent(name, found.version, "library", _licence(name, found), paths)


def _is_metadata(folder: str) -> bool:
    return folder.endswith((".dist-info", ".egg-info"))


def _licence(name: str, found: Distribution) -> str:
    """The SPDX licence expression that a package declares, in one of three ways that the metadata have had."""
    metadata = found.metadata
    if "License-Expression" in metadata:
        return metadata["License-Expression"]
    if name in _DECLARED:
        return _DECLARED[name]
    if "License" in metadata and _EXPRESSION.fullmatch(metadata["License"]):
        return metadata["License"]
    classifiers: list[str] = metadata.get_all("Classifier") or []
    known = [_SPDX[word] for classifier in classifiers if (word := classifier.split(" :: ")[-1]) in _SPDX]
    return known[0] if known else UNKNOWN_LICENCE
