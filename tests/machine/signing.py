"""Keys that sign the bundles of the tests."""

from __future__ import annotations

import subprocess
from pathlib import Path


def create_bundle_keys(certificate: Path, key: Path) -> None:
    """Write a self-signed certificate and its key, which RAUC accepts to sign bundles."""
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-keyout", key, "-out", certificate, "-days", "3650", "-subj", "/O=borne test/CN=bundles"),
        ],
        check=True,
        capture_output=True,
    )
