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
    """The hardware, the rules and the effects of an update."""

    updater: Updater
    outbox: Outbox
    folder: Path
    """directory of downloaded images"""
    manufacturer_roots: Callable[[], Sequence[Certificate]]
    """the manufacturer's root certificates"""
    trust: TlsContextFactory
    """TLS for downloads"""
    reboot: Callable[[BootReason], None]
    restarting: Callable[[], bool]
    """whether the station is restarting for another reason; an installation waits for that"""
    online: Callable[[], bool]
    """whether the CSMS is connected and has accepted the station"""
    allow_unsigned: bool = False
    """whether non-secure updates (L02) are accepted; not recommended if signatures can be verified"""
