"""A firmware update as facts: what was ordered, how far it is, and what comes next (L01, L02). Pure."""

from __future__ import annotations

from datetime import datetime
from enum import Enum, StrEnum, auto

from foundation.frozen import frozen

_OWN_RETRIES = 2
"""how often a download is tried again where the CSMS leaves it to us"""
_OWN_RETRY_INTERVAL_S = 10.0
_LEAST_RETRY_INTERVAL_S = 1.0
"""a CSMS that wants no pause gets this one: a server that refuses at once is not hammered"""


class FirmwareStatus(StrEnum):
    """FirmwareStatusEnumType, without Idle, which is no status of an update; and nothing pauses a download."""

    DOWNLOAD_SCHEDULED = "DownloadScheduled"
    DOWNLOADING = "Downloading"
    DOWNLOADED = "Downloaded"
    SIGNATURE_VERIFIED = "SignatureVerified"
    INSTALL_SCHEDULED = "InstallScheduled"
    INSTALLING = "Installing"
    INSTALL_REBOOTING = "InstallRebooting"
    INSTALLED = "Installed"
    DOWNLOAD_FAILED = "DownloadFailed"
    INVALID_SIGNATURE = "InvalidSignature"
    INSTALL_VERIFICATION_FAILED = "InstallVerificationFailed"
    INSTALLATION_FAILED = "InstallationFailed"

    @property
    def final(self) -> bool:
        """Whether the update ends with it."""
        return self in END_STATUSES


END_STATUSES = frozenset(
    {
        FirmwareStatus.INSTALLED,
        FirmwareStatus.DOWNLOAD_FAILED,
        FirmwareStatus.INVALID_SIGNATURE,
        FirmwareStatus.INSTALL_VERIFICATION_FAILED,
        FirmwareStatus.INSTALLATION_FAILED,
    }
)


class UpdateStep(Enum):
    """The next thing to do for an update."""

    DOWNLOAD = auto()
    VERIFY = auto()
    INSTALL = auto()
    ACTIVATE = auto()
    NONE = auto()


@frozen
class UpdateOrder:
    """What the CSMS wants installed (UpdateFirmwareRequest), or somebody at the station."""

    request_id: int | None
    """None: the CSMS did not ask for it, and is told nothing of it but its outcome"""
    location: str | None
    """None: the image has been brought already"""
    retrieve_at: datetime
    install_at: datetime | None = None
    signing_certificate: str | None = None
    """PEM"""
    signature: str | None = None
    """base64"""
    retries: int | None = None
    """downloads after the first one"""
    retry_interval_s: int | None = None

    @property
    def unsigned(self) -> bool:
        """Whether it is a non-secure update (L02)."""
        return self.signing_certificate is None and self.signature is None

    @property
    def attempts(self) -> int:
        """How often the download may be tried."""
        return 1 + (_OWN_RETRIES if self.retries is None else max(0, self.retries))

    @property
    def pause_s(self) -> float:
        """How long to wait between two attempts."""
        if self.retry_interval_s is None:
            return _OWN_RETRY_INTERVAL_S
        return max(_LEAST_RETRY_INTERVAL_S, float(self.retry_interval_s))


@frozen
class FirmwareUpdate:
    """An update under way, or the last one."""

    id: int
    """counts the updates of this station; not the CSMS's request id, which may come again"""
    order: UpdateOrder
    status: FirmwareStatus | None = None
    """the last one entered; None: accepted, and nothing has happened yet"""

    @property
    def finished(self) -> bool:
        """Whether nothing more will come of it."""
        return self.status is not None and self.status.final


def next_step(update: FirmwareUpdate) -> UpdateStep:
    """What is to be done, told by the last status alone: so an update goes on after a power cut at any moment."""
    match update.status:
        case None | FirmwareStatus.DOWNLOAD_SCHEDULED | FirmwareStatus.DOWNLOADING:
            return UpdateStep.DOWNLOAD
        case FirmwareStatus.DOWNLOADED:
            return UpdateStep.INSTALL if update.order.unsigned else UpdateStep.VERIFY
        case FirmwareStatus.SIGNATURE_VERIFIED | FirmwareStatus.INSTALL_SCHEDULED | FirmwareStatus.INSTALLING:
            return UpdateStep.INSTALL
        case FirmwareStatus.INSTALL_REBOOTING:
            return UpdateStep.ACTIVATE
        case _:
            return UpdateStep.NONE


def cancelable(update: FirmwareUpdate, *, installation: bool) -> bool:
    """L01.FR.24, L01.FR.27: up to the installation; that too where the updater can let go of one."""
    match update.status:
        case FirmwareStatus.INSTALLING:
            return installation
        case FirmwareStatus.INSTALL_REBOOTING:
            return False  # the next boot is the new firmware's
        case _:
            return True
