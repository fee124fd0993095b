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
    """FirmwareStatusEnumType, without Idle (not a status of an update) and DownloadPaused (does not occur)."""

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
        """Whether the update ends with this status."""
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
    """The next step of an update."""

    DOWNLOAD = auto()
    VERIFY = auto()
    INSTALL = auto()
    ACTIVATE = auto()
    NONE = auto()


class UpdateOrder(Frozen):
    """An update ordered by the CSMS (UpdateFirmwareRequest) or locally."""

    request_id: int | None
    """None: ordered locally, statuses are not reported"""
    location: str | None
    """None: the image has been uploaded locally"""
    retrieve_at: datetime
    install_at: datetime | None = None
    signing_certificate: str | None = None
    """PEM"""
    signature: str | None = None
    """base64"""
    retries: int | None = None
    """number of downloads after the first one"""
    retry_interval_s: int | None = None

    @property
    def unsigned(self) -> bool:
        """Whether it is a non-secure update (L02)."""
        return self.signing_certificate is None and self.signature is None

    @property
    def attempts(self) -> int:
        """The maximum number of download attempts."""
        return 1 + (_OWN_RETRIES if self.retries is None else max(0, self.retries))

    @property
    def pause_s(self) -> float:
        """Seconds between two download attempts."""
        if self.retry_interval_s is None:
            return _OWN_RETRY_INTERVAL_S
        return max(_MIN_RETRY_INTERVAL_S, float(self.retry_interval_s))


class FirmwareUpdate(Frozen):
    """The current update, or the last one."""

    id: int
    """number of the update at this station, unlike the request id of the CSMS, which may be used again"""
    order: UpdateOrder
    status: FirmwareStatus | None = None
    """the last status; None: accepted, not started"""

    @property
    def finished(self) -> bool:
        """Whether the update has ended."""
        return self.status is not None and self.status.final


def next_step(update: FirmwareUpdate) -> UpdateStep:
    """The next step, derived from the last status alone, so that an update continues after a power cut."""
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
    """Whether an update can be cancelled: during the installation only if the updater can (L01.FR.24, L01.FR.27)."""
    match update.status:
        case FirmwareStatus.INSTALLING:
            return installation
        case FirmwareStatus.INSTALL_REBOOTING:
            return False  # the next boot activates the new firmware
        case _:
            return True
