"""The signed report of a commissioning: what every step found, with the settings and versions of that moment.

What is signed is a text that begins with a word of its own, so that it can never pass for a signed reading. Kept in the
storage as it was signed; documents are drawn from it.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from foundation.frozen import frozen
from station.charging.signing.signatures import UnsignedError
from station.charging.signing.signing_key import SigningKeyError, signing_key_of
from station.core.version import package_version
from station.maintenance.commissioning.input_tests import CommissioningTests
from station.maintenance.commissioning.steps import Step, inapplicable
from station.storage import private_files
from station.storage.database import StorageError
from station.storage.stored_format import FlatFormat, names

if TYPE_CHECKING:
    from borne.life import Life
    from station.configuration.installation_file import Configuration

HEAD: Final = "BORNE-COMMISSIONING-1\n"
"""what the signed text begins with; JSON follows"""
_NAME: Final = "commissioning-report.json"
_FIRST: Final = 1
"""the EVSE whose key signs"""


@frozen
class SignedReport:
    """A report as it was signed: ECDSA on secp256r1 with SHA-256 over the bytes of the text."""

    text: str
    signature: str
    """hex, DER"""
    public_key: str
    """hex, SubjectPublicKeyInfo"""

    @property
    def told(self) -> dict[str, object]:
        """What it says."""
        return cast("dict[str, object]", json.loads(self.text.removeprefix(HEAD)))


_FORMAT: Final = FlatFormat(SignedReport, names("text", "signature", "public_key"))


async def write_report(life: Life, configuration: Configuration, settings: dict[str, object]) -> None:
    """Sign what was found, and keep it in the place of an earlier report.

    Raises:
        StorageError: it is not kept, or there is no key to sign it with.
    """
    text = HEAD + json.dumps(_told(life, configuration, settings), ensure_ascii=False, sort_keys=True, indent=1)
    try:
        if (signatures := life.metrology.signatures.get(_FIRST)) is not None and not signatures.by_meter:
            await signatures.prepare()  # which makes the key, and notes it
        await asyncio.to_thread(_sign_and_write, text, configuration)
    except (UnsignedError, SigningKeyError) as error:
        raise StorageError(f"the report is not signed: {error}") from error
    except OSError as error:
        raise StorageError(f"the report is not kept: {error.strerror}") from error


def read_report(configuration: Configuration) -> SignedReport | None:
    """The report that is kept; None: there is none. Waits for the disk."""
    try:
        text = private_files.read(_file(configuration))
        return _FORMAT.from_dict(json.loads(text)) if text is not None else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def remove_report(configuration: Configuration) -> None:
    """Begin anew. Waits for the disk.

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


def _told(life: Life, configuration: Configuration, settings: dict[str, object]) -> dict[str, object]:
    who, there = configuration.station, CommissioningTests(life, configuration).installation
    return {
        "station": {
            "identity": who.identity,
            "vendor": who.vendor,
            "model": who.model,
            "serial_number": who.serial_number,
            "program": package_version(),
            "firmware": life.firmware.version or who.firmware_version,
        },
        "made_at": life.clock.now().isoformat(),
        "time_status": life.time.status.value,
        "selector_a": there.selector_a,
        "evses": [
            {
                "id": evse.id,
                "phases": evse.layout.phases,
                "max_current_a": evse.layout.max_current_a,
                "meter_serial": life.metrology.meters.serial_of(evse.id),
            }
            for evse in life.station.evses.values()
        ],
        "settings": settings,
        "steps": [
            {
                "step": step.value,
                "inapplicable": inapplicable(step, there),
                "outcome": finding.trial.outcome.value if finding is not None else None,
                "reason": finding.trial.reason if finding is not None else None,
                "evidence": finding.trial.evidence if finding is not None else {},
                "at": finding.at.isoformat() if finding is not None else None,
                "by": finding.by if finding is not None else None,
            }
            for step in Step
            for finding in [life.commissioning.findings.get(step)]
        ],
    }
