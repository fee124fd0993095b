"""A virtual machine (QEMU), used from outside: its power, serial ports, network and disks.

The guest runs what is on its disk and nothing of the tests, but for a root shell on the second serial port, which
systemd gets from the firmware (a credential in SMBIOS): the image itself has no such way in.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

GUEST_PATIENCE_S: Final = 600.0
"""real seconds after which a test gives up on a guest: emulated, and on a machine that is four times as busy"""
HOST_ADDRESS: Final = "10.0.2.2"
"""the address by which a guest reaches the machine that it runs on"""
_FIRMWARE: Final = Path("/usr/share/OVMF/OVMF_CODE_4M.fd")
_FIRMWARE_VARIABLES: Final = Path("/usr/share/OVMF/OVMF_VARS_4M.fd")
_POLL_S: Final = 0.05
_SHELL_ANSWER_S: Final = 3.0
_SHELL_UNIT: Final = """\
[Unit]
Description=Shell of the tests
DefaultDependencies=no
Conflicts=shutdown.target
Before=shutdown.target
[Service]
ExecStart=/bin/sh -c 'stty -echo -onlcr; exec sh'
Environment=PS1= PS2= SYSTEMD_PAGER= SYSTEMD_COLORS=0 SYSTEMD_URLIFY=0
StandardInput=tty
StandardOutput=tty
StandardError=tty
TTYPath=/dev/ttyS1
Restart=always
RestartSec=0
IgnoreSIGPIPE=no
KillSignal=SIGKILL
OOMScoreAdjust=-1000
"""
_SHELL_DROPIN: Final = "[Unit]\nWants=tests-shell.service\n"
_LIGHT_DROPIN: Final = "[Unit]\nWants=tests-light.path\n"
_LIGHT_UNITS: Final = {
    "tests-light.path": """\
[Unit]
DefaultDependencies=no
After=systemd-tmpfiles-setup.service
Before=basic.target
[Path]
PathModified=/run/borne/led/brightness
""",
    "tests-light.service": """\
[Unit]
DefaultDependencies=no
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'cut -d" " -f1 /proc/uptime > /run/tests-light'
""",
}
"""note when the program has set the LED for the first time"""
_LED: Final = """\
d /run/borne/led 0755 borne borne
f /run/borne/led/max_brightness 0444 borne borne - 255
f /run/borne/led/multi_index 0444 borne borne - red green blue
f /run/borne/led/multi_intensity 0644 borne borne - 0 0 0
f /run/borne/led/brightness 0644 borne borne - 0
f /run/borne/led/trigger 0644 borne borne - [none] timer
f /run/borne/led/delay_on 0644 borne borne - 0
f /run/borne/led/delay_off 0644 borne borne - 0
"""
"""the files of a multicolour LED, since no emulated machine has one"""


def missing_tool() -> str | None:
    """What this machine lacks to run a virtual machine; None: nothing."""
    if shutil.which("qemu-system-x86_64") is None:
        return "qemu-system-x86_64 is not installed"
    if not _FIRMWARE.exists():
        return "the UEFI firmware of virtual machines (ovmf) is not installed"
    return None


def _own_processors() -> int:
    """The processors of this machine that one of the tests' processes has for itself, at least one.

    An emulated processor that waits for another one, which the host does not run, only burns time.
    """
    return max(1, (os.cpu_count() or 1) // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))


@dataclass
class Hardware:
    """The hardware of a virtual machine."""

    memory_mib: int = 768
    processors: int = field(default_factory=lambda: min(2, _own_processors()))
    network: bool = True
    """whether the network cable is plugged in at the start"""
    clock: str = "utc"
    """the time of its battery-backed clock, such as 1970-01-01T00:00:00"""
    second_disk: Path | None = None
    """a raw image; each machine writes to a copy"""
    more: Sequence[str] = ()
    """further arguments of QEMU"""
    watchdog: bool = True


class GuestError(Exception):
    """A command in the guest failed, or the guest did not do what was awaited; with what it printed."""


@dataclass
class VirtualMachine:
    """A machine with one disk. As a context manager it is killed at the end."""

    folder: Path
    """for its sockets, its log of the serial port and the variables of its firmware"""
    disk: Path
    """an image in the format qcow2"""
    hardware: Hardware = field(default_factory=Hardware)
    page_port: int = 0
    """the port of this machine by which port 8080 of the guest is reached; set by `start`"""
    _process: subprocess.Popen[bytes] | None = None
    _started_s: float = 0.0
    _read: int = 0
    """bytes of the serial log that earlier `wait_for` have passed"""

    def __enter__(self) -> Self:
        """Enter; the machine is still off."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Cut its power, if it is on."""
        self.cut_power()

    def twin(self, folder: Path, disk: Path) -> VirtualMachine:
        """A machine with the same hardware and firmware, which can go on from a state that this one has saved."""
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self._firmware_variables, folder / self._firmware_variables.name)
        if self.hardware.second_disk is not None:
            overlay(self._second_disk, folder / self._second_disk.name)
        return VirtualMachine(folder, disk, self.hardware)

    @property
    def _second_disk(self) -> Path:
        return self.folder / "second.qcow2"

    @property
    def _firmware_variables(self) -> Path:
        return self.folder / "firmware-variables"

    @property
    def serial_log(self) -> Path:
        """Everything that the guest has printed on its first serial port, over all starts."""
        return self.folder / "serial.log"

    @property
    def running(self) -> bool:
        """Whether it is on."""
        return self._process is not None and self._process.poll() is None

    def start(self, state: Path | None = None) -> None:
        """Switch it on; or go on from a state that `save` has written, with whatever is on the disk now."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for name in ("serial", "shell", "control"):
            (self.folder / name).unlink(missing_ok=True)
        if not self._firmware_variables.exists():
            shutil.copyfile(_FIRMWARE_VARIABLES, self._firmware_variables)
        if self.hardware.second_disk is not None and not self._second_disk.exists():
            overlay(self.hardware.second_disk, self._second_disk)
        self.page_port = self.page_port or free_port()
        self._read = self.serial_log.stat().st_size if self.serial_log.exists() else 0
        with (self.folder / "qemu.log").open("ab") as log:
            command = self._command()
            command += [] if state is None else ["-incoming", f"file:{state}"]
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        self._started_s = time.monotonic()
        if not self.hardware.network:
            self.plug_network(plugged=False)
        if state is not None:
            self._await_status("running")

    def save(self, state: Path) -> None:
        """Write memory and processors to a file, and switch it off. The disk is not part of it."""
        self.control("migrate", uri=f"file:{state}")
        self._await_status("postmigrate")
        self.cut_power()

    def _await_status(self, status: str) -> None:
        deadline_s = time.monotonic() + GUEST_PATIENCE_S
        while (found := self.control("query-status")["status"]) != status:
            if time.monotonic() > deadline_s or found == "internal-error":
                raise GuestError(f"QEMU is {found}, not {status}")
            time.sleep(_POLL_S)

    def _command(self) -> list[str]:
        hardware = self.hardware
        serial = f"socket,id=serial,path={self.folder / 'serial'},server=on,wait=off"
        network = f"user,id=net,hostfwd=tcp:127.0.0.1:{self.page_port}-:8080"
        command = [
            *("qemu-system-x86_64", "-nodefaults", "-machine", "q35", "-display", "none"),
            *("-accel", "tcg,thread=multi"),
            *("-m", str(hardware.memory_mib), "-smp", str(hardware.processors), "-rtc", f"base={hardware.clock}"),
            *("-drive", f"if=pflash,format=raw,readonly=on,file={_FIRMWARE}"),
            *("-drive", f"if=pflash,format=raw,file={self._firmware_variables}"),
            *("-drive", f"if=virtio,format=qcow2,cache=none,file={self.disk}"),
            *("-chardev", f"{serial},logfile={self.serial_log},logappend=on", "-serial", "chardev:serial"),
            *("-chardev", f"socket,id=shell,path={self.folder / 'shell'},server=on,wait=off"),
            *("-serial", "chardev:shell"),
            *("-qmp", f"unix:{self.folder / 'control'},server=on,wait=off"),
            *("-netdev", network, "-device", "virtio-net-pci,netdev=net,id=nic,romfile="),
            *("-device", "vmgenid,guid=auto"),  # a machine that goes on twice from one state draws other random numbers
            *("-smbios", f"type=11,value={_credential('systemd.extra-unit.tests-shell.service', _SHELL_UNIT)}"),
            *("-smbios", f"type=11,value={_credential('tmpfiles.extra', _LED)}"),
            *("-smbios", f"type=11,value={_credential('systemd.unit-dropin.basic.target', _LIGHT_DROPIN)}"),
            *(
                word
                for name, unit in _LIGHT_UNITS.items()
                for word in ("-smbios", f"type=11,value={_credential(f'systemd.extra-unit.{name}', unit)}")
            ),
            *("-smbios", f"type=11,value={_credential('systemd.unit-dropin.sysinit.target', _SHELL_DROPIN)}"),
        ]
        if hardware.second_disk is not None:
            command += ["-drive", f"if=virtio,format=qcow2,cache=none,file={self._second_disk}"]
        command += hardware.more
        if hardware.watchdog:
            command += ["-device", "i6300esb", "-action", "watchdog=reset"]
        return command

    def cut_power(self) -> None:
        """Switch it off as a power cut does: QEMU is killed."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def control(self, command: str, **arguments: object) -> Any:
        """Send a command of QMP to QEMU, and return its result."""
        with self._connected("control") as connection:
            stream = connection.makefile("rw", encoding="utf-8")
            json.loads(stream.readline())
            for request in ({"execute": "qmp_capabilities"}, {"execute": command, "arguments": arguments}):
                stream.write(json.dumps(request) + "\n")
                stream.flush()
                answer = json.loads(stream.readline())
                while "event" in answer:
                    answer = json.loads(stream.readline())
            if "error" in answer:
                raise GuestError(f"{command}: {answer['error']}")
            return answer["return"]

    def plug_network(self, *, plugged: bool) -> None:
        """Plug the network cable in, or pull it out."""
        self.control("set_link", name="nic", up=plugged)

    def wait_for(self, pattern: str, within_s: float = GUEST_PATIENCE_S) -> float:
        """Wait until the first serial port prints a line with the pattern; returns the seconds since the start.

        Raises:
            GuestError: it does not within the time, or QEMU has ended.
        """
        deadline_s = time.monotonic() + within_s
        compiled = re.compile(pattern.encode())
        while True:
            text = self.serial_log.read_bytes() if self.serial_log.exists() else b""
            if (found := compiled.search(text, self._read)) is not None:
                self._read = found.end()
                return time.monotonic() - self._started_s
            if not self.running:
                raise GuestError(f"QEMU has ended: {(self.folder / 'qemu.log').read_text(encoding='utf-8')[-2000:]}")
            if time.monotonic() > deadline_s:
                raise GuestError(f"no {pattern!r} within {within_s:g} s:\n{text[-3000:].decode(errors='replace')}")
            time.sleep(_POLL_S)

    def run(self, command: str, within_s: float = GUEST_PATIENCE_S) -> str:
        """Run a shell command as root in the guest, and return what it printed.

        Raises:
            GuestError: it failed, or did not end within the time.
        """
        code, output = self.try_run(command, within_s)
        if code != 0:
            raise GuestError(f"{command}: exit code {code}\n{output}")
        return output

    def try_run(self, command: str, within_s: float = GUEST_PATIENCE_S) -> tuple[int, str]:
        """Run a shell command as `run` does, and return its exit code and what it printed."""
        with self._connected("shell") as connection:
            self._await_shell(connection)
            mark = f"end-{time.monotonic_ns()}"
            connection.sendall(f"{{ {command}\n}} 2>&1; echo {mark} $?\n".encode())
            connection.settimeout(within_s)
            received = b""
            end = re.compile(rf"{mark} (\d+)\r?\n".encode())
            while (found := end.search(received)) is None:
                try:
                    part = connection.recv(65536)
                except TimeoutError:
                    raise GuestError(f"{command}: no end within {within_s:g} s\n{received.decode()}") from None
                if not part:
                    raise GuestError(f"{command}: QEMU has ended")
                received += part
        return int(found[1]), received[: found.start()].decode(errors="replace")

    def _await_shell(self, connection: socket.socket) -> None:
        """Ask the shell for a sign until it answers: what is sent before it runs is lost."""
        deadline_s, received = time.monotonic() + GUEST_PATIENCE_S, b""
        connection.settimeout(_SHELL_ANSWER_S)
        while time.monotonic() < deadline_s:
            mark = f"ready-{time.monotonic_ns()}"
            connection.sendall(f"echo {mark}\n".encode())
            with contextlib.suppress(TimeoutError):
                while not re.search(rf"^{mark}\r?\n".encode(), received, re.MULTILINE):
                    if not (part := connection.recv(65536)):
                        raise GuestError("QEMU has ended")
                    received += part
                return
        raise GuestError("the shell does not answer")

    @contextlib.contextmanager
    def _connected(self, name: str) -> Generator[socket.socket]:
        deadline_s = time.monotonic() + GUEST_PATIENCE_S
        while True:
            connection = socket.socket(socket.AF_UNIX)
            try:
                connection.connect(str(self.folder / name))
                break
            except (FileNotFoundError, ConnectionRefusedError):
                connection.close()
                if time.monotonic() > deadline_s or not self.running:
                    raise
                time.sleep(_POLL_S)
        with connection:
            yield connection

    def shut_down(self, within_s: float = GUEST_PATIENCE_S) -> None:
        """Press its power button, and wait until it is off."""
        assert self._process is not None
        self.control("system_powerdown")
        self._process.wait(within_s)
        self._process = None

    def freeze(self) -> None:
        """Stop the processors, as a machine that hangs altogether."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)


def overlay(base: Path, target: Path) -> Path:
    """Create a disk whose changes do not reach the disk `base`; returns its file."""
    kind = "qcow2" if base.suffix == ".qcow2" else "raw"
    command = ["qemu-img", "create", "-q", "-f", "qcow2", "-b", str(base.resolve()), "-F", kind, str(target)]
    subprocess.run(command, check=True, capture_output=True)
    return target


def _credential(name: str, value: str) -> str:
    encoded = base64.b64encode(value.encode()).decode()
    return f"io.systemd.credential.binary:{name}={encoded}"


def free_port() -> int:
    """A free TCP port of this machine."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
