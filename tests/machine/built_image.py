"""The image that the virtual machines of these tests start, built once for a source tree; and the measured figures."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.machine.signing import create_bundle_keys
from tests.machine.virtual_machine import missing_tool
from tests.project import ROOT
from tools.delivery.disk_image import ImageFiles, ImageOptions, build_images
from tools.delivery.source_tree import source_tree

os.environ["DPKG_DEB_COMPRESSOR_LEVEL"] = "1"  # the packages of these tests are installed once and thrown away
_TOOLS: Final = ("mmdebstrap", "dpkg-buildpackage", "dh", "rauc", "mksquashfs", "grub-mkimage", "sfdisk", "mcopy")
_STATION: Final = Path(__file__).parent / "station.toml"
_KERNEL_OPTIONS: Final = "console=ttyS0 quiet mitigations=off initcall_blacklist=jent_mod_init"
"""without what is slow on an emulated processor and of no use there: a self-test of the random numbers takes seconds"""


@dataclass(frozen=True)
class BuiltImage:
    """The image, its bundle, and the keys that sign bundles."""

    files: ImageFiles
    options: ImageOptions


def missing_image_tool() -> str | None:
    """What this machine lacks to build the image and to start it; None: nothing."""
    missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
    reason = missing_tool() or (f"{missing[0]} is not installed" if missing else None)
    return "only root can build a root file system" if reason is None and os.geteuid() != 0 else reason


def built_image() -> BuiltImage:
    """The image of this source tree, built if it has changed.

    Raises:
        DeliveryError: a tool fails.
    """
    folder = ROOT / "build" / "machine"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _built(folder)


def note_figure(text: str) -> None:
    """Append a measured figure to build/machine/figures.txt, for whoever reads it."""
    with (ROOT / "build" / "machine" / "figures.txt").open("a", encoding="utf-8") as file:
        file.write(text + "\n")


def _built(folder: Path) -> BuiltImage:
    digest = _digest_of_source()
    target = folder / digest
    options = ImageOptions(
        folder / "bundle.pem",
        folder / "bundle.key",
        folder / "bundle.pem",
        installation_file=_STATION,
        kernel_options=_KERNEL_OPTIONS,
        compression_level=1,
    )
    if not target.exists():
        for old in folder.iterdir():
            if old.is_dir():
                shutil.rmtree(old)
        create_bundle_keys(options.certificate, options.key)
        part = folder / "part"
        build_images(source_tree(), options, part)
        part.rename(target)
    version = source_tree().version
    files = ImageFiles(
        target / f"borne-{version}-disk.img",
        target / f"borne-{version}.raucb",
        target / f"borne-{version}-root.squashfs",
    )
    return BuiltImage(files, options)


def _digest_of_source() -> str:
    """Identifies what an image is built from: the files of the program and its packaging, and the test's own."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    digest = hashlib.sha256()
    for name in listed.split("\0"):
        file = ROOT / name
        if name and not name.startswith(("tests/", "docs/", "bench/")) and file.is_file():
            digest.update(f"{name}\0".encode() + file.read_bytes())
    digest.update(_STATION.read_bytes())
    return digest.hexdigest()[:16]
