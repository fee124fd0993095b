"""The configuration of firmware updates on a real machine: by commands of its maker, or by RAUC."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from msgspec import Meta

from foundation.device_table import DeviceTable
from foundation.table_definition import FilePath

if TYPE_CHECKING:
    from foundation.clock import Clock
    from station.core.hardware.updater import Updater

_Command = Annotated[tuple[str, ...], Meta(min_length=1)]


class UpdaterTable(DeviceTable):
    """Base class of the [firmware] tables: the keys that all updaters have."""

    allow_unsigned: bool = False
    """whether firmware without a signature is installed (L02); else every update is a secure one (L01)"""


class CommandUpdaterConfig(UpdaterTable, kw_only=True, tag_field="type", tag="command"):
    """[firmware] of type "command": the station installs updates by running these programs, without a shell."""

    type: ClassVar[Literal["command"]] = "command"
    install_command: Annotated[_Command, Meta(examples=[["/usr/sbin/install-firmware", "--slot"]])]
    """gets the path of the image as its last argument; exit status 65 means that the image is bad"""
    activate_command: Annotated[_Command | None, Meta(examples=[["/usr/sbin/reboot"]])] = None
    """activates the installed firmware and reboots the machine; if left out, a restart of the program activates it"""
    confirm_command: Annotated[_Command | None, Meta(examples=[["/usr/sbin/firmware-is-new"]])] = None
    """exit status 0 means that the new firmware runs; if left out, it runs once activated"""

    def open(self, folder: Path, clock: Clock) -> Updater:
        """Create the updater that runs these commands; it records the activation in `folder`."""
        # late: only stations that are updated by commands
        from station.devices.command_updater import CommandUpdater, UpdaterCommands

        commands = UpdaterCommands(self.install_command, self.activate_command or (), self.confirm_command or ())
        return CommandUpdater(commands, folder, clock)


class RaucUpdaterConfig(UpdaterTable, kw_only=True, tag_field="type", tag="rauc"):
    """[firmware] of type "rauc": images are signed bundles of RAUC, installed into the other of two slots."""

    type: ClassVar[Literal["rauc"]] = "rauc"
    state_file: FilePath = Path("/data/slots/state")
    """written by the boot loader's handler in the station image: whether the running slot is on trial"""
    reboot_file: FilePath = Path("/run/borne/reboot")
    """the machine reboots once the station has created this file"""

    def open(self, folder: Path, clock: Clock) -> Updater:
        """Create the updater that uses the RAUC service of this machine; it keeps nothing in `folder`."""
        del folder
        # late: only stations of the image
        from station.devices.rauc_updater import RaucUpdater

        return RaucUpdater(self.state_file, self.reboot_file, clock)
