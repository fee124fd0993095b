"""The reasons why a backup or a restore is refused, one exception for each that a caller distinguishes."""

from __future__ import annotations

from foundation.expected_error import ExpectedError


class BackupError(ExpectedError):
    """A backup cannot be made, or a restore is refused; the message says why, for people. Nothing was changed."""


class DamagedBackupError(BackupError):
    """The backup file is damaged or incomplete, or is no backup at all."""


class PassphraseError(BackupError):
    """The passphrase is not that of the backup file, or is too short for a new one."""
