"""GPIO lines for a guest: Debian's kernel has no simulated ones, but its source, which is built as a module."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Final

_SOURCES: Final = Path("/usr/src")
_FILES: Final = ("drivers/gpio/gpio-sim.c", "drivers/gpio/gpiolib.h", "kernel/irq/irq_sim.c")
_NAME: Final = "tests-gpio-sim"
_NOT_EXPORTED: Final = {"irq_to_desc(irqnum)": "irq_data_to_desc(irq_get_irq_data(irqnum))"}
"""what the kernel keeps from modules, and what says the same"""


def missing_for_module(kernel: str) -> str | None:
    """What this machine lacks to build the module for a kernel, such as 6.12.0-amd64; None: nothing."""
    source = f"linux-source-{'.'.join(kernel.split('.')[:2])}"
    for path, package in (
        (_SOURCES / f"linux-headers-{kernel}", f"linux-headers-{kernel}"),
        (_SOURCES / f"{source}.tar.xz", source),
    ):
        if not path.exists():
            return f"the package {package} is not installed"
    return None if shutil.which("gcc-14") is not None else "gcc-14 is not installed"


def build_gpio_module(kernel: str, folder: Path) -> Path:
    """Build the module, and return its file in `folder`; see `missing_for_module`."""
    folder.mkdir(parents=True)
    source = f"linux-source-{'.'.join(kernel.split('.')[:2])}"
    with tarfile.open(_SOURCES / f"{source}.tar.xz") as archive:
        left = {f"{source}/{name}" for name in _FILES}
        for member in archive:
            if member.name in left:
                left.remove(member.name)
                content = archive.extractfile(member)
                assert content is not None
                text = content.read().decode()
                for old, new in _NOT_EXPORTED.items():
                    text = text.replace(old, new)
                (folder / Path(member.name).name).write_text(text, encoding="utf-8")
            if not left:
                break
    (folder / "Makefile").write_text(f"obj-m := {_NAME}.o\n{_NAME}-y := gpio-sim.o irq_sim.o\n", encoding="utf-8")
    make = ["make", "-C", _SOURCES / f"linux-headers-{kernel}", f"M={folder}", "CC=gcc-14", "modules"]
    completed = subprocess.run(make, check=False, capture_output=True, text=True)
    assert completed.returncode == 0, completed.stdout + completed.stderr
    module = folder / f"{_NAME}.ko"
    subprocess.run(["strip", "--strip-debug", module], check=True)
    return module
