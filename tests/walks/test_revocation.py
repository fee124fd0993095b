"""A CSMS whose certificate is on a revocation list of the installation file is not spoken to (A00.FR.308)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from station.security.security_events import SecurityEventType
from tests.conformance.pki import Issued, Pki
from tests.csms import Csms, running_csms
from tests.walk import configuration, powered

PASSWORD = "correct-horse-battery-staple"
DAY = timedelta(days=1)


def _revocation_list(root: Issued, *revoked: Issued, valid_for: timedelta = DAY) -> str:
    """Return a revocation list of the authority, as PEM."""
    now = datetime.now(UTC)  # the TLS library reads the machine's clock
    builder = x509.CertificateRevocationListBuilder().issuer_name(root.certificate.subject)
    builder = builder.last_update(now - 2 * DAY).next_update(now + valid_for)
    for issued in revoked:
        entry = (
            x509.RevokedCertificateBuilder().serial_number(issued.certificate.serial_number).revocation_date(now - DAY)
        )
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(root.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


@pytest.mark.parametrize("case", ["revoked", "not revoked", "an expired list"])
async def test_a_revoked_csms_is_not_believed(tmp_path: Path, case: str) -> None:
    """A list that has expired is not used: nobody could reach the station any more to bring it a new one."""
    pki = Pki(tmp_path)
    server = pki.server()
    revoked = () if case == "not revoked" else (server,)
    valid_for = -DAY if case == "an expired list" else DAY
    roots = pki.write_pem("roots.pem", pki.root.pem + _revocation_list(pki.root, *revoked, valid_for=valid_for))
    async with running_csms(Csms(), ssl=pki.server_context(server)) as csms:
        url = f"wss://localhost:{csms.port}/ocpp"
        config = configuration(tmp_path / "records", url, csms={"password": PASSWORD, "ca_file": str(roots)})
        async with powered(config, csms) as walk:
            if case != "revoked":
                await walk.accepted()
                return
            await walk.advance(30)
            assert csms.headers == []
            events = await walk.parts.security_events.entries()
            assert SecurityEventType.INVALID_CSMS_CERTIFICATE in {event.type for event in events}
