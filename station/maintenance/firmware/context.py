"""What a firmware update needs from the rest of the station."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from foundation.frozen import Frozen
from station.core.model import BootReason

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

    from station.core.hardware.updater import Updater
    from station.security.file_transfer.file_transfer import TlsContextFactory
    from station.storage.outbox import Outbox


class FirmwareUpdateContext(Frozen):
    """What firmware updates need from the station: installer, outbox, image folder, trust, reboot, and its state."""

    updater: Updater
    """installs and activates images on this machine"""
    outbox: Outbox
    """transaction events that must reach the CSMS before a reboot"""
    folder: Path
    """directory of downloaded images"""
    manufacturer_roots: Callable[[], Sequence[Certificate]]
    """the manufacturer's root certificates"""
    trust: TlsContextFactory
    """TLS for downloads"""
    reboot: Callable[[BootReason], None]
    """reboots the station, unless the updater does it itself"""
    restarting: Callable[[], bool]
    """whether the station is restarting for another reason; an installation waits for that"""
    online: Callable[[], bool]
    """whether the CSMS is connected and has accepted the station"""
    allow_unsigned: bool = False
    """whether non-secure updates (L02) are accepted; not recommended if signatures can be verified"""
