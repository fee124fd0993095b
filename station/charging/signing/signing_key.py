"""The private key with which the station signs the readings of one EVSE: generated once, stored in a private file,
never replaced silently."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from foundation.expected_error import ExpectedError
from metering.ocmf_keys import stored_public_key
from station.charging.signing.page_counter import PageCounter
from station.storage import private_files

if TYPE_CHECKING:
    from metering.ocmf_signer import OcmfSigner


class SigningKeyError(ExpectedError):
    """The station's private signing key cannot be read, is invalid or cannot be created; the message says why."""


def signing_key_of(storage: Path, evse_id: int) -> SigningKey:
    """Return the station's signing key for an EVSE, below the directory `storage`; touches no file yet."""
    return SigningKey(storage / "signing" / f"evse-{evse_id}.pem")


class SigningKey:
    """The private key, in a file, with which the station signs the readings of one EVSE. Blocking: use a thread."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._signer: OcmfSigner | None = None
        self.pages = PageCounter(file.with_suffix(".pages"))
        """the last page numbers signed with the key, in a file beside it"""

    def exists(self) -> bool:
        """Return whether the key file exists; it may still be invalid."""
        return self._file.exists()

    def public_key(self) -> bytes:
        """Return the public key (SubjectPublicKeyInfo, DER); generates and stores a private key if there is none.

        Raises:
            SigningKeyError: as `signer`.
        """
        if self._signer is None:
            try:
                pem = private_files.read(self._file)
            except OSError as error:
                raise SigningKeyError(f"{self._file}: {error.strerror}") from error
            if pem is not None and (found := stored_public_key(pem)) is not None:
                return found
        return self.signer().public_key

    def signer(self) -> OcmfSigner:
        """Return the signer that uses the key; generates and stores a key if there is none.

        The caller must record a change of the key.

        Raises:
            SigningKeyError: the file is not a valid key, and is left unchanged; or a disk error.
        """
        # late: cryptography
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
