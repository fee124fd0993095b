"""The state of a firmware update: order, status, and the next step (L01, L02). No I/O."""

from __future__ import annotations

from datetime import datetime
from enum import Enum, StrEnum, auto

from foundation.frozen import Frozen

_OWN_RETRIES = 2
"""number of download retries if the CSMS specifies none"""
_OWN_RETRY_INTERVAL_S = 10.0
_MIN_RETRY_INTERVAL_S = 1.0
"""minimum pause between downloads, also if the CSMS wants none, to protect the server"""


class FirmwareStatus(StrEnum):
    """The status of an update (FirmwareStatusEnumType).

    Without Idle (not a status of an update) and DownloadPaused (does not occur).
    """

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
        """Whether an update with this status has ended, installed or failed."""
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
    """What is to be done next in an update."""

    DOWNLOAD = auto()
    VERIFY = auto()
    INSTALL = auto()
    ACTIVATE = auto()
    NONE = auto()


class UpdateOrder(Frozen):
    """What firmware to install from where and when, ordered by the CSMS (UpdateFirmwareRequest) or locally."""

    request_id: int | None
    """None: ordered locally, statuses are not reported"""
    location: str | None
    """None: the image has been uploaded locally"""
    retrieve_at: datetime
    """download not before this time"""
    install_at: datetime | None = None
    """install not before this time; None: after the download"""
    signing_certificate: str | None = None
    """PEM"""
    signature: str | None = None
    """base64"""
    retries: int | None = None
    """number of downloads after the first one; None: the station's default"""
    retry_interval_s: int | None = None
    """pause between downloads; None: the station's default"""

    @property
    def unsigned(self) -> bool:
        """Whether it has neither signature nor signing certificate: a non-secure update (L02)."""
        return self.signing_certificate is None and self.signature is None

    @property
    def attempts(self) -> int:
        """How often the download is attempted at most: as ordered, else three times."""
        return 1 + (_OWN_RETRIES if self.retries is None else max(0, self.retries))

    @property
    def pause_s(self) -> float:
        """Seconds between two download attempts: as ordered but at least 1, else 10."""
        if self.retry_interval_s is None:
            return _OWN_RETRY_INTERVAL_S
        return max(_MIN_RETRY_INTERVAL_S, float(self.retry_interval_s))


class FirmwareUpdate(Frozen):
    """One firmware update: its order and last status."""

    id: int
    """number of the update at this station, unlike the request id of the CSMS, which may be used again"""
    order: UpdateOrder
    status: FirmwareStatus | None = None
    """the last status; None: accepted, not started"""

    @property
    def finished(self) -> bool:
        """Whether the update has ended, installed or failed."""
        return self.status is not None and self.status.final


def next_step(update: FirmwareUpdate) -> UpdateStep:
    """What is to be done next, derived from the last status alone, so that an update continues after a power cut."""
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
    """Return whether an update can be cancelled now (L01.FR.24, L01.FR.27).

    `installation`: whether the updater can interrupt an installation.
    """
    match update.status:
        case FirmwareStatus.INSTALLING:
            return installation
        case FirmwareStatus.INSTALL_REBOOTING:
            return False  # the next boot activates the new firmware
        case _:
            return True
