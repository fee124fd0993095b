"""Builds the image of a station's disk, and the bundle that updates it: `python -m tools.delivery.disk_image`.

The disk has four partitions: boot (FAT, with the boot loader and its variables), two slots for a read-only root file
system (`root-a`, `root-b`), and data (ext4). The image has the first slot filled; a bundle of RAUC fills the other one.
docs/deploy-image.md explains the image; deploy/image/ has its files.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import NAMESPACE_URL, uuid5

from borne.variable_tables_check import describe_refused_variables
from station.configuration.installation_choices import STATION_IMAGE
from station.configuration.installation_file import ConfigurationError, load_configuration
from station.configuration.short_installation_example import short_installation_example
from station.devices.updater_config import RaucUpdaterConfig
from station.maintenance.firmware.firmware_settings import FirmwareSettings
from tools.delivery.bill_of_materials import image_bill_of_materials
from tools.delivery.debian_package import build_package
from tools.delivery.root_file_system import build_root
from tools.delivery.source_tree import DeliveryError, SourceTree, run, source_tree

_MIB: Final = 1 << 20
_GRUB_MODULES: Final = (
    *("part_gpt", "fat", "squash4", "lzopio", "linux", "normal", "configfile", "loadenv", "test", "echo", "regexp"),
    *("sleep", "reboot", "boot", "search", "minicmd"),
)
_STORED: Final = "-noI -noD -noF -noX"
"""arguments of mksquashfs: the content of a bundle is compressed already"""
_FIRST_SECTOR: Final = 2048
_SECTOR: Final = 512


@dataclass(frozen=True)
class ImageOptions:
    """What a maker chooses of an image."""

    certificate: Path
    """PEM certificate that signs bundles"""
    key: Path
    """PEM key of the certificate"""
    keyring: Path
    """PEM roots that stations trust to sign bundles"""
    installation_file: Path | None = None
    """the installation file of all stations of this image; None: a simulated station"""
    compatible: str = "borne-amd64"
    """the name of the model: a station refuses bundles of another one"""
    kernel_options: str = ""
    """further options of the kernel's command line"""
    compression_level: int = 8
    """of the root file system (LZO): 1 is fast, 9 is small"""
    boot_mib: int = 64
    slot_mib: int = 512
    data_mib: int = 512
    """sizes of the partitions; the data partition grows to the end of the disk if the maker enlarges it"""


@dataclass(frozen=True)
class ImageFiles:
    """What a build has written."""

    disk: Path
    bundle: Path
    root: Path
    """the root file system, as a squashfs"""


def build_images(source: SourceTree, options: ImageOptions, output: Path, package: Path | None = None) -> ImageFiles:
    """Write disk image and bundle into the folder `output`; `package` is built if it is not given.

    Raises:
        DeliveryError: a file that the maker has given is missing or invalid, a tool is missing or fails, or a partition
            is too small.
    """
    _check_options(options)
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output) as name:
        folder = Path(name)
        package = package or build_package(source, "amd64", output)
        root = output / f"borne-{source.version}-root.squashfs"
        _build_slot(source, options, package, root, folder)
        bundle = build_bundle(source, options, root, output)
        disk = output / f"borne-{source.version}-disk.img"
        _build_disk(source, options, root, disk, folder)
    return ImageFiles(disk, bundle, root)


def _build_slot(source: SourceTree, options: ImageOptions, package: Path, target: Path, folder: Path) -> None:
    """Write the root file system of a slot."""
    files = folder / "files"
    shutil.copytree(source.root / "deploy" / "image" / "root", files)
    system = files / "etc/rauc/system.conf"
    text = system.read_text(encoding="utf-8").replace("@COMPATIBLE@", options.compatible)
    system.write_text(text.replace("@VERSION@", source.version), encoding="utf-8")
    shutil.copyfile(options.keyring, files / "etc/rauc/keyring.pem")
    root = folder / "root"
    model = folder / "station.toml"
    given = options.installation_file
    text = given.read_text(encoding="utf-8") if given is not None else short_installation_example(STATION_IMAGE)
    model.write_text(text, encoding="utf-8")
    steps = [f"cp {model} $1/etc/borne/station.toml", f"{source.root}/deploy/image/setup.sh $1"]
    build_root(source, package, root, _image_packages(source), files=files, steps=steps)
    bill = root / "usr/share/doc/borne/image.cdx.json"
    bill.write_text(image_bill_of_materials(source, root, "amd64"), encoding="utf-8")
    os.utime(bill, (source.timestamp, source.timestamp))
    target.unlink(missing_ok=True)
    run(
        *("mksquashfs", root, target, "-comp", "lzo", "-Xcompression-level", str(options.compression_level)),
        *("-no-progress", "-quiet", "-noappend"),
        environment={**os.environ, **source.environment()},
    )


def _check_options(options: ImageOptions) -> None:
    """Check what the maker has given, before minutes of building.

    Raises:
        DeliveryError: a file is missing, the installation file is invalid, or the station could not be updated.
    """
    files = {"certificate": options.certificate, "key": options.key, "keyring": options.keyring}
    for name, file in files.items():
        if not file.is_file():
            raise DeliveryError(f"--{name}: there is no file {file}")
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._ -]*", options.compatible) is None:
        raise DeliveryError("--compatible: must have letters, digits, spaces, dots, hyphens and underscores only")
    if (given := options.installation_file) is None:
        return
    try:
        configuration = load_configuration(given, {})
    except ConfigurationError as error:
        raise DeliveryError("\n".join(error.sentences)) from error
    if not isinstance(configuration.firmware, RaucUpdaterConfig):
        raise DeliveryError(
            f'{given}: firmware.type: must be "rauc", which updates an image; borne init --image writes such a file'
        )
    if configuration.variable and (refused := describe_refused_variables(configuration, given, {})):
        raise DeliveryError("\n".join(refused))


def _image_packages(source: SourceTree) -> list[str]:
    lines = (source.root / "deploy/image/packages.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def build_bundle(source: SourceTree, options: ImageOptions, root: Path, output: Path) -> Path:
    """Write the signed bundle with a root file system into the folder `output`.

    Raises:
        DeliveryError: rauc is missing or fails, or the stations would not download the bundle.
    """
    bundle = output / f"borne-{source.version}.raucb"
    bundle.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(dir=output) as name:
        content = Path(name)
        os.link(root, content / "root.squashfs")
        manifest = (
            f"[update]\ncompatible={options.compatible}\nversion={source.version}\nbuild={source.commit}\n\n"
            "[bundle]\nformat=verity\n\n[image.rootfs]\nfilename=root.squashfs\n"
        )
        (content / "manifest.raucm").write_text(manifest, encoding="utf-8")
        keys = (f"--cert={options.certificate}", f"--key={options.key}")
        run("rauc", "bundle", *keys, f"--mksquashfs-args={_STORED}", content, bundle)
    if bundle.stat().st_size > (most := _most_bytes(options)):
        raise DeliveryError(
            f"{bundle}: has {bundle.stat().st_size} bytes, and the stations download at most {most}: raise the variable"
            " MostBytes of FirmwareCtrlr by [[variable]] of their installation file, before the first such update"
        )
    return bundle


def _most_bytes(options: ImageOptions) -> int:
    """The largest image that a station of this model downloads."""
    if (given := options.installation_file) is not None:
        for table in load_configuration(given, {}).variable:
            if (table.component, table.variable) == ("FirmwareCtrlr", "MostBytes") and table.value is not None:
                return int(table.value)
    return int(FirmwareSettings().firmware_most_bytes)


def _build_disk(source: SourceTree, options: ImageOptions, root: Path, disk: Path, folder: Path) -> None:
    if root.stat().st_size > options.slot_mib * _MIB:
        raise DeliveryError(f"the root file system has {root.stat().st_size // _MIB} MiB, a slot {options.slot_mib}")
    boot, data = folder / "boot.img", folder / "data.img"
    _build_boot_partition(source, options, boot, folder)
    _make_file(data, options.data_mib)
    identity = str(uuid5(NAMESPACE_URL, "borne/data"))
    labels = ("-L", "data", "-U", identity, "-E", f"hash_seed={identity}")
    run("mke2fs", "-q", "-t", "ext4", "-m1", *labels, data, environment={**os.environ, **source.environment()})
    sizes = {"boot": options.boot_mib, "root-a": options.slot_mib, "root-b": options.slot_mib, "data": options.data_mib}
    disk.unlink(missing_ok=True)
    _make_file(disk, sum(sizes.values()) + 2)
    starts = _partition(disk, sizes)
    for name, file in {"boot": boot, "root-a": root, "data": data}.items():
        run(
            *("dd", f"if={file}", f"of={disk}", f"bs={_SECTOR * 2048}", "conv=notrunc,sparse", "status=none"),
            f"seek={starts[name] // 2048}",
        )


def _partition(disk: Path, sizes_mib: dict[str, int]) -> dict[str, int]:
    """Write the partition table, and return the first sector of each partition."""
    starts, start, lines = dict[str, int](), _FIRST_SECTOR, ["label: gpt", f"label-id: {uuid5(NAMESPACE_URL, 'borne')}"]
    for name, mib in sizes_mib.items():
        kind = "U" if name == "boot" else "L"
        sectors = mib * _MIB // _SECTOR
        identity = uuid5(NAMESPACE_URL, f"borne/{name}")
        lines.append(f"start={start}, size={sectors}, type={kind}, name={name}, uuid={identity}")
        starts[name], start = start, start + sectors
    table = disk.with_suffix(".table")
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    run("sh", "-c", f"sfdisk --quiet '{disk}' < '{table}'")
    table.unlink()
    return starts


def _build_boot_partition(source: SourceTree, options: ImageOptions, file: Path, folder: Path) -> None:
    """A FAT partition with the boot loader, its menu and its variables, and the text for whoever opens it."""
    files = source.root / "deploy" / "image" / "boot"
    menu = folder / "grub.cfg"
    text = (files / "grub.cfg").read_text(encoding="utf-8").replace("@OPTIONS@", options.kernel_options)
    menu.write_text(text, encoding="utf-8")
    loader, variables = folder / "BOOTX64.EFI", folder / "grubenv"
    run("grub-mkimage", "-O", "x86_64-efi", "-p", "/grub", "-o", loader, *_GRUB_MODULES)
    run("grub-editenv", variables, "create")
    run("grub-editenv", variables, "set", "ORDER=A B", "A_OK=1", "A_TRY=0", "B_OK=0", "B_TRY=0")
    _make_file(file, options.boot_mib)
    run("mkfs.vfat", "-n", "BOOT", "-i", "b0b0b0b0", "--invariant", file)
    environment = {**os.environ, **source.environment()}
    run("mmd", "-i", file, "::EFI", "::EFI/BOOT", "::grub", environment=environment)
    contents = {"EFI/BOOT/BOOTX64.EFI": loader, "grub/grub.cfg": menu, "grub/grubenv": variables}
    for place, content in {**contents, "README.txt": files / "README.txt"}.items():
        run("mcopy", "-i", file, content, f"::{place}", environment=environment)


def _make_file(file: Path, mib: int) -> None:
    with file.open("wb") as opened:
        opened.truncate(mib * _MIB)


def main(arguments: Sequence[str]) -> int:
    """Build image and bundle; returns the exit code."""
    parser = argparse.ArgumentParser(description=re.sub(r":.*", ".", (__doc__ or "").split("\n")[0]))
    parser.add_argument("--certificate", type=Path, required=True, help="PEM certificate that signs bundles.")
    parser.add_argument("--key", type=Path, required=True, help="PEM key of the certificate.")
    parser.add_argument("--keyring", type=Path, help="PEM roots that stations trust. Default: the certificate.")
    parser.add_argument("--station", type=Path, metavar="FILE", help="Installation file of all stations of the image.")
    parser.add_argument(
        "--compatible",
        metavar="NAME",
        default=ImageOptions.compatible,
        help="Name of the model; a station refuses bundles of another one. [default: %(default)s]",
    )
    parser.add_argument("--kernel-options", default="", metavar="TEXT", help="Added to the kernel's command line.")
    parser.add_argument("--package", type=Path, metavar="FILE", help="A package that is built already.")
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="Default: build/.")
    given = parser.parse_args(arguments)
    certificate: Path = given.certificate
    options = ImageOptions(
        certificate,
        given.key,
        given.keyring or certificate,
        installation_file=given.station,
        compatible=given.compatible,
        kernel_options=given.kernel_options,
    )
    source = source_tree()
    try:
        files = build_images(source, options, given.output or source.root / "build", given.package)
    except DeliveryError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{files.disk}\n{files.bundle}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
