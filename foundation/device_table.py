"""`DeviceTable`: the base class of the installation file's tables that configure a device.

Rules between tables ask it what the device is and uses, so that a new kind of device needs no new rule.
"""

from __future__ import annotations

import os
from enum import Enum
from typing import ClassVar, TypeAlias

from foundation.frozen import Frozen
from foundation.table import Table

TableKey: TypeAlias = tuple[str | int, ...]
"""the location of a value in its table, such as ("clamps", 0, "channel"); empty: the table itself"""


class ResourceKind(Enum):
    """What a device can use of the machine, or of a wire."""

    CONVERTER_CHANNEL = "channel of an A/D converter"
    PWM_CHANNEL = "channel of a PWM chip"
    GPIO_LINE = "line of a GPIO chip"
    MODBUS_UNIT = "address of a device on a Modbus wire"
    SERIAL_DEVICE = "serial or input device of this machine"
    SOCKET = "Unix socket of a process"


class Resource(Frozen):
    """A resource that a device uses, and the key that assigns it to the device."""

    kind: ResourceKind
    name: TableKey
    """identifies the resource among those of its kind"""
    key: TableKey
    """in the table of the device"""
    shared: bool = False
    """whether other devices that share it may use it too, as those on one Modbus wire do"""


class DeviceTable(Table):
    """Base class of the tables that configure a device. Each states what differs from these defaults."""

    packages: ClassVar[tuple[str, ...]] = ()
    """import names of the packages that the driver needs besides those of every station"""

    @property
    def simulated_key(self) -> TableKey | None:
        """The key by which the table selects a simulated device; None if the device is real."""
        return None

    @property
    def resources(self) -> tuple[Resource, ...]:
        """The resources that no other device may use, or only a device that shares them."""
        return ()


def serial_resource(device: str, key: TableKey = ("device",), *, shared: bool = False) -> Resource:
    """The serial or input device at this path; two paths of one device make the same resource."""
    return Resource(ResourceKind.SERIAL_DEVICE, (os.path.realpath(device),), key, shared)
