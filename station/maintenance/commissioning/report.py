"""The signed commissioning report: the findings of every step, with the settings and versions at that time.

The signed text begins with a header of its own, so that it can never pass for a signed reading. It is stored as signed;
documents are drawn from it.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

from foundation.frozen import Frozen
from foundation.json_values import parse_object
from station.charging.signing.reading_signer import SigningError
from station.charging.signing.signing_key import SigningKeyError, signing_key_of
from station.core.version import package_version
from station.maintenance.commissioning.steps import CommissioningStep, inapplicable_reason
from station.storage import private_files
from station.storage.database import StorageError
from station.storage.stored_format import FlatFormat, names

if TYPE_CHECKING:
    from foundation.clock import Clock
    from station.billing.register_journal.time_quality import TimeQualityMonitor
    from station.charging.billing_meters import BillingMeters
    from station.charging.charging_station import ChargingStation
    from station.configuration.installation_file import Configuration
    from station.maintenance.commissioning.installation_facts import InstallationFacts
    from station.maintenance.commissioning.record import CommissioningRecord
    from station.maintenance.firmware.firmware import FirmwareUpdates

HEAD: Final = "BORNE-COMMISSIONING-1\n"
"""header of the signed text; JSON follows"""
_NAME: Final = "commissioning-report.json"
_FIRST: Final = 1
"""the EVSE whose key signs the report"""


class SignedReport(Frozen):
    """A signed commissioning report: ECDSA on secp256r1 with SHA-256 over the bytes of the text. Not verified here."""

    text: str
    """HEAD, then JSON"""
    signature: str
    """hex, DER"""
    public_key: str
    """hex, SubjectPublicKeyInfo"""

    @property
    def content(self) -> dict[str, object]:
        """The content of the text, parsed from JSON."""
        return parse_object(self.text.removeprefix(HEAD))


_FORMAT: Final = FlatFormat(SignedReport, names("text", "signature", "public_key"))


class ReportWriter:
    """Collects the findings of commissioning, signs them with the key of the first EVSE, and stores the report."""

    def __init__(
        self,
        facts: InstallationFacts,
        record: CommissioningRecord,
        station: ChargingStation,
        meters: BillingMeters,
        firmware: FirmwareUpdates,
        time: TimeQualityMonitor,
        clock: Clock,
    ) -> None:
        self._facts = facts
        self._record = record
        self._station = station
        self._meters = meters
        self._firmware = firmware
        self._time = time
        self._clock = clock

    async def write(self, settings: dict[str, object]) -> None:
        """Sign all findings with `settings`, those of the site, and store the report in place of an earlier one.

        Raises:
            StorageError: the report cannot be stored, or not signed.
        """
        text = HEAD + json.dumps(self._content(settings), ensure_ascii=False, sort_keys=True, indent=1)
        assembly = self._station.assemblies.get(_FIRST)
        signing = assembly.signing if assembly is not None else None
        try:
            if signing is not None and not signing.signatures.by_meter:
                await signing.signatures.prepare()  # creates the key and records it
            await asyncio.to_thread(_sign_and_write, text, self._facts.configuration)
        except (SigningError, SigningKeyError) as error:
            raise StorageError(f"the report cannot be signed: {error}") from error
        except OSError as error:
            raise StorageError(f"the report cannot be stored: {error.strerror}") from error

    def _content(self, settings: dict[str, object]) -> dict[str, object]:
        station, installation = self._facts.configuration.station, self._facts.read()
        return {
            "station": {
                "identity": station.identity,
                "vendor": station.vendor,
                "model": station.model,
                "serial_number": station.serial_number,
                "program": package_version(),
                "firmware": self._firmware.version or station.firmware_version,
            },
            "made_at": self._clock.now().isoformat(),
            "time_status": self._time.status.value,
            "selector_a": installation.selector_a,
            "evses": [
                {
                    "id": evse.id,
                    "phases": evse.layout.phases,
                    "max_current_a": evse.layout.max_current_a,
                    "meter_serial": self._meters.serial_of(evse.id),
                }
                for evse in self._station.evses.values()
            ],
            "settings": settings,
            "steps": [
                {
                    "step": step.value,
                    "inapplicable": inapplicable_reason(step, installation),
                    "outcome": finding.result.outcome.value if finding is not None else None,
                    "reason": finding.result.reason if finding is not None else None,
                    "evidence": finding.result.evidence if finding is not None else {},
                    "at": finding.at.isoformat() if finding is not None else None,
                    "by": finding.by if finding is not None else None,
                }
                for step in CommissioningStep
                for finding in [self._record.findings.get(step)]
            ],
        }


def read_report(configuration: Configuration) -> SignedReport | None:
    """Read the stored report; None if there is none or it is unreadable. Blocks on the disk; verifies no signature."""
    try:
        text = private_files.read(_file(configuration))
        return _FORMAT.from_dict(json.loads(text)) if text is not None else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def remove_report(configuration: Configuration) -> None:
    """Delete the stored report, if there is one. Blocks on the disk.

    Raises:
        OSError: the disk refuses.
    """
    private_files.remove(_file(configuration))


def _sign_and_write(text: str, configuration: Configuration) -> None:
    signer = signing_key_of(Path(configuration.station.storage), _FIRST).signer()
    report = SignedReport(text, signer.sign(text.encode()).hex(), signer.public_key.hex())
    private_files.write(_file(configuration), json.dumps(_FORMAT.to_dict(report)))


def _file(configuration: Configuration) -> Path:
    return Path(configuration.station.storage) / _NAME
