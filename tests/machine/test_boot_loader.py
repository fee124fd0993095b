"""The boot loader of a station image: what it makes of variables that a power cut has spoilt."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.machine.built_image import BuiltImage
from tests.machine.guest_station import disk_for
from tests.machine.virtual_machine import VirtualMachine

_BOOT_PARTITION = "@@1M"


def _take(disk: Path, name: str, target: Path) -> str:
    """Copy a file of the boot loader from a disk, and return the path of the copy."""
    target.unlink(missing_ok=True)
    subprocess.run(["mcopy", "-i", f"{disk}{_BOOT_PARTITION}", f"::grub/{name}", target], check=True)
    return str(target)


def _put(disk: Path, name: str, file: Path) -> None:
    subprocess.run(["mcopy", "-o", "-i", f"{disk}{_BOOT_PARTITION}", file, f"::grub/{name}"], check=True)


def test_attempts_are_counted_also_where_the_variables_are_spoilt(image: BuiltImage, tmp_path: Path) -> None:
    """The system does not start, and so forgets no attempt."""
    disk = disk_for(image.files.disk, tmp_path, "ws://10.0.2.2:1/ocpp")
    raw, file = tmp_path / "disk.img", tmp_path / "file"
    menu = Path(_take(raw, "grub.cfg", tmp_path / "grub.cfg"))
    menu.write_text(menu.read_text(encoding="utf-8").replace("root=PARTLABEL=$label", "root=PARTLABEL=none"))
    _put(raw, "grub.cfg", menu)
    _put(raw, "grubenv.backup", Path(_take(raw, "grubenv", file)))
    file.write_bytes(bytes(1024))
    _put(raw, "grubenv", file)
    with VirtualMachine(tmp_path / "vm", disk) as machine:
        machine.start()
        for _ in range(2):
            machine.wait_for("invalid environment block")
        machine.wait_for("Begin: |Gave up|ALERT|Rebooting|panic")
        machine.cut_power()
    after = tmp_path / "after.img"
    subprocess.run(["qemu-img", "convert", "-O", "raw", disk, after], check=True)
    listed = subprocess.run(
        ["grub-editenv", _take(after, "grubenv.backup", file), "list"], check=True, capture_output=True, text=True
    )
    assert "A_TRY=2" in listed.stdout.split()
