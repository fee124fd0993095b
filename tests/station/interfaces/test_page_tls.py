"""The certificate of the page is replaced while clients connect."""

from __future__ import annotations

import asyncio
import ssl
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from simulator.clock import VirtualClock
from station.interfaces.http.self_signed import self_signed
from station.interfaces.http.tls import PageTls
from station.storage import private_files
from tests.patience import PATIENCE_S
from tests.walk import configuration

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from station.security.certificates.certificate_store import CertificateStore


def presented(context: ssl.SSLContext) -> bytes:
    """The certificate (DER) that the server of this context presents to a client, in a handshake in memory."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    client = trusting.wrap_bio(to_client, to_server)
    waiting = [client, context.wrap_bio(to_server, to_client, server_side=True)]
    while waiting:
        side = waiting.pop(0)
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            waiting.append(side)
    certificate = client.getpeercert(binary_form=True)
    assert certificate is not None
    return certificate


async def test_a_renewal_never_loads_a_certificate_into_a_context_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A certificate is in force before its key is loaded: a handshake at that moment would fail."""
    clock = VirtualClock()
    file = tmp_path / "station.pem"
    pems = [self_signed("BORNE-1", ["localhost"], clock.now()) for _ in range(2)]
    private_files.write(file, pems[0])
    config = configuration(tmp_path, None, http={"tls": True})
    store = cast("CertificateStore", SimpleNamespace(station_certificate_file=file))
    page = PageTls(lambda: config, lambda: store, clock)
    used, changed = [page.context()], list[bool]()
    load = ssl.SSLContext.load_cert_chain

    def observed(context: ssl.SSLContext, *args: Any) -> None:
        changed.append(any(context is earlier_context for earlier_context in used))
        load(context, *args)

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", observed)
    following = asyncio.create_task(page.follow())
    try:
        async with asyncio.timeout(PATIENCE_S):
            for pem in (pems[1], pems[0]):
                private_files.write(file, pem)
                while presented(page.context()) != ssl.PEM_cert_to_DER_cert(pem[pem.index("-----BEGIN CERT") :]):
                    await clock.advance(30)
                used.append(page.context())
    finally:
        following.cancel()
    assert changed
    assert not any(changed)
