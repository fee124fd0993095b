"""What the test system's manufacturer has: signed firmware images, and a file server to fetch them from.

An image is made for the simulated updater of this repository's station, which checks the checksum in its first line.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import os
from dataclasses import dataclass, field
from types import TracebackType

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from tests.conformance.frames import Payload
from tests.conformance.pki import Issued, Pki

VERSION = "2.0.0-conformance"


def image(version: str = VERSION, *, intact: bool = True, boots: bool = True, size: int = 200_000) -> bytes:
    """A firmware image; one that is not intact has another checksum than it says."""
    content = os.urandom(size)
    checksum = hashlib.sha256(content if intact else content + b"\x00").hexdigest()
    header = json.dumps({"version": version, "sha256": checksum, "boots": boots})
    return f"borne-firmware {header}\n".encode() + content


@dataclass(frozen=True)
class Signer:
    """A firmware signing certificate with its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

    @property
    def pem(self) -> str:
        """The certificate, PEM."""
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    def sign(self, content: bytes) -> str:
        """The signature over a whole file, base64: RSA-PSS or ECDSA with SHA-256."""
        if isinstance(self.key, rsa.RSAPrivateKey):
            pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=padding.PSS.DIGEST_LENGTH)
            signature = self.key.sign(content, pss, hashes.SHA256())
        else:
            signature = self.key.sign(content, ec.ECDSA(hashes.SHA256()))
        return base64.b64encode(signature).decode()


def signer(pki: Pki, manufacturer: Issued, *, kind: str = "EC") -> Signer:
    """A certificate that a manufacturer's root issued for signing firmware."""
    like = pki.station("Firmware Signing", issuer=manufacturer, organization="Conformance Manufacturer")
    if kind == "EC":
        return Signer(like.certificate, like.key)
    key = rsa.generate_private_key(65537, 2048)
    old = like.certificate
    builder = x509.CertificateBuilder(
        old.issuer, old.subject, key.public_key(), old.serial_number, old.not_valid_before_utc, old.not_valid_after_utc
    )
    return Signer(builder.sign(manufacturer.key, hashes.SHA256()), key)


@dataclass
class FileServer:
    """An HTTP server of files in the test's own process."""

    files: dict[str, bytes] = field(default_factory=dict[str, bytes])
    held: set[str] = field(default_factory=set[str])
    """files of which only the first half is sent"""
    requested_names: list[str] = field(default_factory=list[str])
    """the requested file names"""
    _server: asyncio.Server | None = None
    _open: set[asyncio.StreamWriter] = field(default_factory=set[asyncio.StreamWriter])

    async def __aenter__(self) -> FileServer:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for writer in set(self._open):
            writer.close()
        await self._server.wait_closed()

    def url(self, name: str) -> str:
        """Where a file is."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/{name}"

    def release_downloads(self) -> None:
        """Close the connections of held files, and hold none from now on."""
        self.held = set()
        for writer in set(self._open):
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            name = head.split(" ")[1].lstrip("/")
            self.requested_names.append(name)
            content = self.files.get(name)
            if content is None:
                writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            else:
                writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(content)}\r\nConnection: close\r\n\r\n".encode())
                writer.write(content[: len(content) // 2] if name in self.held else content)
            await writer.drain()
            if name in self.held:
                await reader.read()  # until the station hangs up
        self._open.discard(writer)
        writer.close()


def update_request(request_id: int, location: str, retrieve_at: str, install_at: str | None = None) -> Payload:
    """An UpdateFirmwareRequest without certificate and signature."""
    firmware: Payload = {"location": location, "retrieveDateTime": retrieve_at}
    if install_at is not None:
        firmware["installDateTime"] = install_at
    return {"requestId": request_id, "firmware": firmware}
