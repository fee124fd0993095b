"""The software bill of materials, as CycloneDX 1.6: everything in a package or an image, with licences and hashes.

`python -m tools.delivery.bill_of_materials [FILE]` writes that of the Debian package (by default to build/).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import quote
from uuid import NAMESPACE_URL, uuid5

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from msgspec.json import decode

from foundation.frozen import Frozen
from station.maintenance.software_components import (
    SoftwareComponent,
    VendoredComponent,
    program_component,
    software_components,
    vendored_components,
)
from tools.delivery.program_environment import build_environment, packages_of, wheel_hashes
from tools.delivery.source_tree import DeliveryError, SourceTree, source_tree

MD5_SUMS: Final = ".md5sums"
"""the ending of the file that lists the files of a Debian package with their MD5 sums"""


class DebianPackage(Frozen):
    """A package of Debian in an image."""

    name: str
    version: str
    architecture: str
    licences: tuple[str, ...]
    """names of licences as its copyright file gives them; may be empty"""
    sha256: str
    """of the list of its files with their MD5 sums; empty if it has none"""


class _EmbeddedComponent(Frozen, forbid_unknown_fields=False):
    """A component of a bill of materials that a wheel brings with it (PEP 770)."""

    name: str
    version: str = ""
    purl: str = ""


class _EmbeddedBill(Frozen, forbid_unknown_fields=False):
    components: tuple[_EmbeddedComponent, ...] = ()


def bill_of_materials(
    source: SourceTree, environment: Path, hashes: Mapping[str, str], debian: Sequence[DebianPackage] = ()
) -> str:
    """Describe an environment that `build_environment` has built, and the packages of Debian beside it.

    `hashes`: SHA-256 of the wheel of each package, in hexadecimal, by its name. The same input yields the same text.

    Raises:
        DeliveryError: a package has no hash, or the result does not fit the schema of CycloneDX.
    """
    packages = packages_of(environment)
    libraries = [found for found in software_components([str(packages)]) if found.kind == "library"]
    components = [
        *(_library(library, hashes, packages) for library in libraries),
        *map(_vendored, vendored_components()),
        *map(_debian, debian),
    ]
    program = {
        **_component("application", "borne", "borne", source.version),
        "licenses": _expression(program_component().licence),
        "properties": [{"name": "borne:commit", "value": source.commit}],
    }
    bill = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid5(NAMESPACE_URL, f'borne/{source.version}/{source.commit}')}",
        "version": 1,
        "metadata": {
            "timestamp": datetime.fromtimestamp(source.timestamp, UTC).isoformat(),
            "component": program,
        },
        "components": components,
        "dependencies": [{"ref": "borne", "dependsOn": [component["bom-ref"] for component in components]}],
    }
    text = json.dumps(bill, indent=1)
    if (error := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)) is not None:
        raise DeliveryError(f"the bill of materials does not fit its schema: {error}")
    return f"{text}\n"


def _component(kind: str, reference: str, name: str, version: str = "") -> dict[str, object]:
    return {"type": kind, "bom-ref": reference, "name": name, **({"version": version} if version else {})}


def _expression(licence: str) -> list[dict[str, str]]:
    return [{"expression": licence}]


def _sha256(digest: str) -> list[dict[str, str]]:
    return [{"alg": "SHA-256", "content": digest}]


def _library(library: SoftwareComponent, hashes: Mapping[str, str], packages: Path) -> dict[str, object]:
    if library.name not in hashes:
        raise DeliveryError(f"the wheel of {library.name} {library.version} is not known, so neither is its hash")
    embedded = list(_embedded(library, packages))
    return {
        **_component("library", library.name, library.name, library.version),
        "purl": f"pkg:pypi/{library.name}@{quote(library.version)}",
        "licenses": _expression(library.licence),
        "hashes": _sha256(hashes[library.name]),
        **({"components": embedded} if embedded else {}),
    }


def _embedded(library: SoftwareComponent, packages: Path) -> Iterator[dict[str, object]]:
    """The libraries that are linked into a wheel, by what it says of them itself."""
    folder = packages / f"{library.name.replace('-', '_')}-{library.version}.dist-info" / "sboms"
    found: dict[tuple[str, str], str] = {}
    for file in sorted(folder.glob("*.json")):
        for entry in decode(file.read_bytes(), type=_EmbeddedBill).components:
            if entry.name != library.name:
                found.setdefault((entry.name, entry.version), entry.purl)
    for (name, version), purl in sorted(found.items()):
        component = _component("library", f"{library.name}/{name}@{version}", name, version)
        yield {**component, **({"purl": purl} if purl else {})}


def _vendored(entry: VendoredComponent) -> dict[str, object]:
    files = [
        {**_component("file", f"{entry.name}/{path}", f"station/{path}"), "hashes": _sha256(digest)}
        for path, digest in sorted(entry.sha256.items())
    ]
    kind = "file" if entry.kind == "font" else "library"
    purl = {"purl": f"pkg:npm/{entry.name}@{entry.version}"} if entry.kind == "script" else {}
    component = _component(kind, entry.name, entry.name, entry.version)
    return {**component, **purl, "licenses": _expression(entry.licence), "components": files}


def _debian(package: DebianPackage) -> dict[str, object]:
    version = quote(package.version)
    return {
        **_component("library", f"debian/{package.name}", package.name, package.version),
        "purl": f"pkg:deb/debian/{quote(package.name)}@{version}?arch={package.architecture}",
        "licenses": [{"license": {"name": licence}} for licence in package.licences],
        **({"hashes": _sha256(package.sha256)} if package.sha256 else {}),
    }


def image_bill_of_materials(source: SourceTree, root: Path, architecture: str) -> str:
    """Describe an image by its root file system, which contains the program below /opt/borne and packages of Debian.

    Raises:
        DeliveryError: as `bill_of_materials`.
    """
    environment = root / "opt" / "borne" / source.version
    hashes = wheel_hashes(source, architecture)
    return bill_of_materials(source, environment, hashes, installed_debian_packages(root))


def installed_debian_packages(root: Path) -> list[DebianPackage]:
    """The packages of Debian that are installed below `root`, by name; the program's own is not one of them.

    They are listed in the database of dpkg, or in an image without dpkg, as files of var/lib/dpkg/status.d.
    """
    database = root / "var/lib/dpkg"
    files = [file for file in (database / "status.d").glob("*") if file.suffix != MD5_SUMS] or [database / "status"]
    texts = [paragraph for file in files for paragraph in file.read_text(encoding="utf-8").split("\n\n")]
    paragraphs = (_fields(text) for text in texts if text.strip())
    installed = [fields for fields in paragraphs if fields.get("Status", "").endswith(" installed")]
    found = [_installed(root, fields) for fields in installed if fields["Package"] != "borne"]
    return sorted(found, key=lambda package: package.name)


def _fields(paragraph: str) -> dict[str, str]:
    lines = (line.partition(": ") for line in paragraph.splitlines() if not line.startswith(" "))
    return {name: value for name, _, value in lines}


def _installed(root: Path, fields: Mapping[str, str]) -> DebianPackage:
    name, architecture = fields["Package"], fields["Architecture"]
    lists = (f"info/{name}", f"info/{name}:{architecture}", f"status.d/{name}")
    sums = [root / f"var/lib/dpkg/{place}{MD5_SUMS}" for place in lists]
    listed = next((file.read_bytes() for file in sums if file.exists()), b"")
    copyright_file = root / "usr/share/doc" / name / "copyright"
    text = copyright_file.read_text(encoding="utf-8", errors="replace") if copyright_file.is_file() else ""
    licences = {line.removeprefix("License:").strip() for line in text.splitlines() if line.startswith("License:")}
    sha256 = hashlib.sha256(listed).hexdigest() if listed else ""
    return DebianPackage(name, fields["Version"], architecture, tuple(sorted(licences - {""})), sha256)


def main(arguments: Sequence[str]) -> int:
    """Build an environment, and write its bill of materials; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("file", type=Path, nargs="?", help="Default: build/borne-VERSION.cdx.json.")
    given = parser.parse_args(arguments)
    source = source_tree()
    file: Path = given.file or source.root / "build" / f"borne-{source.version}.cdx.json"
    with tempfile.TemporaryDirectory() as name:
        environment = Path(name) / "environment"
        try:
            build_environment(source, environment, f"/opt/borne/{source.version}", "amd64")
            text = bill_of_materials(source, environment, wheel_hashes(source, "amd64"))
        except DeliveryError as error:
            sys.stderr.write(f"{error}\n")
            return 1
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    sys.stdout.write(f"{file}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
