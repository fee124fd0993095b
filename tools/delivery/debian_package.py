"""Builds the Debian package: `python -m tools.delivery.debian_package [--architecture ARCH] [--output FOLDER]`.

The package contains the program with its own Python environment below /opt/borne/VERSION, for the Python of Debian 13.
Two builds of one commit yield the same bytes.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Final

from station.configuration.installation_choices import SERVICE_STORAGE
from station.configuration.short_installation_example import short_installation_example
from station.maintenance.software_components import SoftwareComponent, software_components
from tools.delivery.bill_of_materials import bill_of_materials
from tools.delivery.program_environment import MACHINES, build_environment, packages_of, wheel_hashes
from tools.delivery.source_tree import DeliveryError, SourceTree, run, source_tree
from tools.references.bash_completion import script
from tools.references.manual_pages import MANUAL_PAGES

_COPYRIGHT: Final = """\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: borne
Comment: The licences of the Python packages, scripts and fonts of others, which the package contains unchanged, are in
 /usr/share/doc/borne/licences.txt, with their texts; bill-of-materials.cdx.json beside it lists them with their hashes.

Files: *
Copyright: 2026 The developers of borne
License: Apache-2.0
 On Debian systems the text of the Apache License 2.0 is in /usr/share/common-licenses/Apache-2.0.
"""


def build_package(source: SourceTree, architecture: str, output: Path) -> Path:
    """Build the package for a processor, and return its file in the folder `output`.

    Raises:
        DeliveryError: a tool is missing or fails.
    """
    with tempfile.TemporaryDirectory() as name:
        tree = Path(name) / f"borne-{source.version}"
        _lay_out(source, architecture, tree)
        run(
            *("dpkg-buildpackage", "--build=binary", "--no-sign", f"--host-arch={architecture}"),
            folder=tree,
            environment={**os.environ, **source.environment(), "DEB_BUILD_OPTIONS": "nocheck"},
        )
        (built,) = Path(name).glob(f"borne_*_{architecture}.deb")
        output.mkdir(parents=True, exist_ok=True)
        return Path(shutil.move(built, output / built.name))


def _lay_out(source: SourceTree, architecture: str, tree: Path) -> None:
    """Write the files of the package, and the folder `debian` that says where they go."""
    deploy, debian = source.root / "deploy", tree / "debian"
    shutil.copytree(deploy / "debian", debian)
    for file in debian.glob("borne.*"):
        file.write_text(file.read_text(encoding="utf-8").replace("@VERSION@", source.version), encoding="utf-8")
    for name, kind in {"borne.service": "service", "borne.sysusers": "sysusers", "borne.tmpfiles": "tmpfiles"}.items():
        shutil.copyfile(deploy / name, debian / f"borne.{kind}")
    # Until the next version is accepted, the unit that systemd has loaded starts the one that it came with.
    unit = debian / "borne.service"
    started = f"ExecStart=/opt/borne/{source.version}/bin/borne "
    unit.write_text(unit.read_text(encoding="utf-8").replace("ExecStart=/usr/bin/borne ", started), encoding="utf-8")
    shutil.copyfile(deploy / "60-borne.rules", debian / "borne.udev")
    (debian / "changelog").write_text(_changelog(source), encoding="utf-8")
    (debian / "copyright").write_text(_COPYRIGHT, encoding="utf-8")

    lay_out_program(source, architecture, tree)
    for page in (source.root / "docs").glob("*.md"):
        shutil.copyfile(page, tree / "usr/share/doc/borne" / page.name)
    _write(tree / "usr/share/bash-completion/completions/borne", script())
    check = tree / "usr/lib/borne/upgrade-check"
    _write(check, (debian / "upgrade-check").read_text(encoding="utf-8"))
    check.chmod(0o755)
    for name, page in MANUAL_PAGES.items():
        _write(tree / "man" / name, page(source.version, source.date))


def lay_out_program(source: SourceTree, architecture: str, tree: Path) -> None:
    """Write what packages and images alike contain into `tree`: the program, its documents, an installation file.

    The file system of a package or an image begins at `tree`.

    Raises:
        DeliveryError: a tool is missing or fails.
    """
    environment = tree / "opt" / "borne" / source.version
    build_environment(source, environment, f"/opt/borne/{source.version}", architecture)
    documents = tree / "usr/share/doc/borne"
    bill = bill_of_materials(source, environment, wheel_hashes(source, architecture))
    _write(documents / "bill-of-materials.cdx.json", bill)
    _write(documents / "licences.txt", licence_texts(software_components([str(packages_of(environment))])))
    shutil.copyfile(source.root / "CHANGELOG.md", documents / "release-notes.md")
    # Short: dpkg asks about a file that was changed on the machine whenever that of the package has changed too.
    _write(tree / "etc/borne/station.toml", short_installation_example({"station": {"storage": SERVICE_STORAGE}}))


def _changelog(source: SourceTree) -> str:
    date = format_datetime(datetime.fromtimestamp(source.timestamp, UTC))
    return (
        f"borne ({source.version}) stable; urgency=medium\n\n"
        f"  * See release-notes.md. Commit:\n    {source.commit}.\n\n"
        f" -- The developers of borne <borne@packages.invalid>  {date}\n"
    )


def licence_texts(components: Sequence[SoftwareComponent]) -> str:
    """The licence of each component with its text, one after the other."""
    parts = [
        f"{component.name} {component.version}: {component.licence}\n\n{component.licence_text()}\n"
        for component in components
    ]
    return f"\n{'-' * 100}\n\n".join(parts)


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def main(arguments: Sequence[str]) -> int:
    """Build the package; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split(":")[0])
    parser.add_argument("--architecture", choices=MACHINES, default="amd64", help="Processor. [default: %(default)s]")
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="Default: build/.")
    parser.add_argument("--version", help="Version in place of that in pyproject.toml, for tests of upgrades.")
    given = parser.parse_args(arguments)
    source = source_tree()
    version: str | None = given.version
    try:
        package = build_package(
            source.with_version(version) if version else source,
            given.architecture,
            given.output or source.root / "build",
        )
    except DeliveryError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{package}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
