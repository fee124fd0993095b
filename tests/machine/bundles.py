"""Update bundles for the machine of the tests: newer, older, of somebody else, and such that do not start."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.machine.built_image import BuiltImage
from tests.machine.signing import create_bundle_keys
from tools.delivery.debian_package import build_package
from tools.delivery.disk_image import build_bundle
from tools.delivery.source_tree import SourceTree, source_tree


def next_version() -> str:
    """A version after that of the source tree."""
    major, minor, _ = source_tree().version.split(".")
    return f"{major}.{int(minor) + 1}.0"


def newer_bundle(image: BuiltImage, folder: Path) -> Path:
    """A bundle with the next version of the program, in the root file system of the image."""
    source = source_tree().with_version(next_version())
    package = build_package(source, "amd64", folder)
    root = folder / "root"
    run_command("unsquashfs", "-quiet", "-no-progress", "-dest", root, image.files.root)
    shutil.copyfile(package, root / "tmp/borne.deb")
    run_command("chroot", root, "dpkg", "--force-confold", "--install", "/tmp/borne.deb")
    (root / "tmp/borne.deb").unlink()
    return _bundle(image, source, root, folder)


_RELABEL: Final = """\
cd $1/opt/borne && mv {old} {new} && cd {new}
mv lib/python3.13/site-packages/borne-{old}.dist-info lib/python3.13/site-packages/borne-{new}.dist-info
sed -i 's/^Version: {old}$/Version: {new}/' lib/python3.13/site-packages/borne-{new}.dist-info/METADATA
sed -i '1s/{old}/{new}/' bin/borne
sed -i 's|/opt/borne/{old}/|/opt/borne/{new}/|' $1/usr/lib/systemd/system/borne.service
ln -sf /opt/borne/{new}/bin/borne $1/usr/bin/borne
sed -i 's/{old}/{new}/' $1/etc/rauc/system.conf
"""


def relabelled_bundle(image: BuiltImage, folder: Path) -> Path:
    """A bundle with the program of the image under the next version: it takes seconds to build."""
    return changed_bundle(image, folder, [_RELABEL.format(old=source_tree().version, new=next_version())])


def changed_bundle(image: BuiltImage, folder: Path, commands: Sequence[str]) -> Path:
    """A bundle of the next version with the root file system of the image, changed by shell commands (`$1`: root)."""
    root = folder / "root"
    run_command("unsquashfs", "-quiet", "-no-progress", "-dest", root, image.files.root)
    for command in commands:
        run_command("sh", "-ec", command, "sh", root)
    return _bundle(image, source_tree().with_version(next_version()), root, folder)


def empty_bundle(image: BuiltImage, folder: Path, *, version: str | None = None, foreign: bool = False) -> Path:
    """A small bundle: its root file system has no kernel. `foreign`: it is signed by somebody else."""
    root = folder / "root"
    root.mkdir(parents=True)
    (root / "empty").write_bytes(os.urandom(1 << 16))
    signed = image
    if foreign:
        options = dataclasses.replace(image.options, certificate=folder / "other.pem", key=folder / "other.key")
        create_bundle_keys(options.certificate, options.key)
        signed = dataclasses.replace(image, options=options)
    return _bundle(signed, source_tree().with_version(version or next_version()), root, folder)


def _bundle(image: BuiltImage, source: SourceTree, root: Path, folder: Path) -> Path:
    file = folder / "root.squashfs"
    run_command(
        "mksquashfs", root, file, "-comp", "lzo", "-Xcompression-level", "1", "-no-progress", "-quiet", "-noappend"
    )
    shutil.rmtree(root)
    bundle = build_bundle(source, image.options, file, folder)
    file.unlink()
    return bundle


def run_command(*command: str | Path) -> None:
    """Run a command; fails the test with its output."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    completed = subprocess.run([*command], check=False, capture_output=True, text=True, env=environment)
    assert completed.returncode == 0, completed.stdout + completed.stderr
