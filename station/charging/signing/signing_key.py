"""The private key with which the station signs the readings of one EVSE: made once, kept for itself, never replaced
in silence."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from station.charging.signing.page_counter import PageCounter
from station.storage import private_files

if TYPE_CHECKING:
    from metering.ocmf_signer import OcmfSigner


class SigningKeyError(Exception):
    """There is no key to sign with; the sentence says why."""


def signing_key_of(storage: Path, evse_id: int) -> SigningKey:
    """The station's own key for an EVSE, in the directory `storage`; the file is made by its first use."""
    return SigningKey(storage / "signing" / f"evse-{evse_id}.pem")


class SigningKey:
    """A key on disk. Everything here waits for the disk: call it from a thread."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._signer: OcmfSigner | None = None
        self.pages = PageCounter(file.with_suffix(".pages"))
        """how far its pages have come"""

    def exists(self) -> bool:
        """Whether the key has been made."""
        return self._file.exists()

    def public_key(self) -> bytes:
        """What its signatures are checked with: SubjectPublicKeyInfo, as DER. Makes the key where there is none.

        Raises:
            SigningKeyError: as `signer`.
        """
        from metering.ocmf_signer import stored_public_key

        if self._signer is None:
            try:
                pem = private_files.read(self._file)
            except OSError as error:
                raise SigningKeyError(f"{self._file}: {error.strerror}") from error
            if pem is not None and (found := stored_public_key(pem)) is not None:
                return found
        return self.signer().public_key

    def signer(self) -> OcmfSigner:
        """The key at work; made where there is none. Whoever signs with it tells when it is another than before.

        Raises:
            SigningKeyError: the file is no key, and is left as it is; or the disk refuses.
        """
        from metering.ocmf_signer import KeyUnusableError, OcmfSigner, create_key

        if self._signer is not None:
            return self._signer
        try:
            pem = private_files.read(self._file)
            if pem is None:
                pem = create_key()
                private_files.write(self._file, pem)
            self._signer = OcmfSigner(pem)
        except OSError as error:
            raise SigningKeyError(f"{self._file}: {error.strerror}") from error
        except KeyUnusableError as error:
            raise SigningKeyError(f"{self._file}: {error}") from error
        return self._signer
