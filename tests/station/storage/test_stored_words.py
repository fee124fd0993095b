"""Words that are stored as they are, beside those of a `StoredFormat`: their members may be renamed, the words stay."""

from __future__ import annotations

from enum import Enum

import pytest

from metering.journal_entry import JournalEvent
from station.core.hardware.board import SelfTest
from station.load.shared_limits import LimitSetter
from station.maintenance.commissioning.problems import ProblemCause
from station.maintenance.commissioning.steps import CommissioningStep, StepOutcome
from station.maintenance.firmware.state import FirmwareStatus
from station.maintenance.logs.upload import UploadStatus
from station.security.access.accounts import Role
from station.security.security_events import SecurityEventType

STORED: dict[type[Enum], tuple[str | int, ...]] = {
    LimitSetter: ("operator", "user"),
    CommissioningStep: (
        "identity",
        "site",
        "network",
        "breaker",
        "wiring",
        "meter",
        "clamps",
        "grid-contact",
        "limits",
        "residual",
        "shunt-trip",
        "test-session",
        "phases",
    ),
    StepOutcome: ("passed", "failed", "skipped", "begun"),
    ProblemCause: (
        "other-station",
        "csms-not-connected",
        "selector-unknown",
        "selector-above-breaker",
        "terminals-loose",
        "cover-loose",
        "jumpers",
        "meter-silent",
        "meter-implausible",
        "clamps-silent",
        "clamps-without-first",
        "clamps-unseen",
        "load-too-small",
        "clamp-reversed",
        "clamp-other-phase",
        "clamp-wrong",
        "arrows-unchecked",
        "contact-untold",
        "contact-reversed",
        "contact-without-limit",
        "no-load-management",
        "connection-unknown",
        "safe-current-too-high",
        "evse-busy",
        "monitor-failed",
        "monitor-tripped",
        "monitor-absent",
        "coil-first",
        "breaker-stays",
        "no-energy",
        "phases-unknown",
    ),
    Role: (0, 1, 2, 3, 4),
    SelfTest: ("passed", "failed", "absent"),
    SecurityEventType: (
        "FirmwareUpdated",
        "FailedToAuthenticateAtCsms",
        "CsmsFailedToAuthenticate",
        "SettingSystemTime",
        "StartupOfTheDevice",
        "ResetOrReboot",
        "SecurityLogWasCleared",
        "ReconfigurationOfSecurityParameters",
        "MemoryExhaustion",
        "InvalidMessages",
        "AttemptedReplayAttacks",
        "TamperDetectionActivated",
        "InvalidFirmwareSignature",
        "InvalidFirmwareSigningCertificate",
        "InvalidCsmsCertificate",
        "InvalidChargingStationCertificate",
        "InvalidTLSVersion",
        "InvalidTLSCipherSuite",
        "MaintenanceLoginAccepted",
        "MaintenanceLoginFailed",
        "DiscardedRenewedClientCertificate",
        "UnreadableRecord",
        "SafeStart",
        "LocalChange",
    ),
    FirmwareStatus: (
        "DownloadScheduled",
        "Downloading",
        "Downloaded",
        "SignatureVerified",
        "InstallScheduled",
        "Installing",
        "InstallRebooting",
        "Installed",
        "DownloadFailed",
        "InvalidSignature",
        "InstallVerificationFailed",
        "InstallationFailed",
    ),
    JournalEvent: (
        "boot",
        "software",
        "begin",
        "end",
        "tariff",
        "prices",
        "meter-found",
        "meter-fault",
        "meter-restored",
        "meter-refused",
        "meter-rolled-over",
        "meter-exchange",
        "signing-key",
        "unsigned",
        "clock",
        "time-corrected",
        "tamper",
        "fault",
        "fault-cleared",
        "torn",
        "records-replaced",
        "damaged",
    ),
    UploadStatus: (
        "Uploading",
        "Uploaded",
        "UploadFailure",
        "BadMessage",
        "PermissionDenied",
        "NotSupportedOperation",
        "AcceptedCanceled",
    ),
}
"""facts, their names, rows and the register journal hold these; add new ones, and change or take away none"""


@pytest.mark.parametrize("kind", STORED, ids=lambda kind: kind.__name__)
def test_the_words_that_are_stored_stay(kind: type[Enum]) -> None:
    assert tuple(member.value for member in kind) == STORED[kind]
