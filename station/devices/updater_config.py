"""The configuration of firmware updates by commands of the machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from msgspec import Meta

from foundation.device_table import DeviceTable

if TYPE_CHECKING:
    from pathlib import Path

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
