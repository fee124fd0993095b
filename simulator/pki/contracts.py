"""The contracts that each test PKI has from the beginning."""

from __future__ import annotations

from typing import Final

CONTRACTS: Final = {
    "valid": "FRBRNC00000001X",
    "second": "FRBRNC00000002X",
    "expired": "FRBRNC00000003X",
    "not-yet-valid": "FRBRNC00000004X",
    "revoked": "FRBRNC00000005X",
    "wrong-chain": "FRBRNC00000006X",
}
"""their names, which say what is wrong with them, and their eMAIDs"""
