"""The cached OCSP status of the certificates of SECCs: what is accepted, how long it counts, when it is renewed."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from simulator.clock import VirtualClock
from simulator.pki.v2g_pki import TestPki
from station.security.certificates.certificate_checks import InvalidCertificateError
from station.security.certificates.certificate_status import CertificateStatusCache
from station.storage.fact_store import FactStore
from tests.certificate_statuses import query_of, response_of
from tests.databases import open_database

NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> TestPki:
    return TestPki.create(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def other_pki(tmp_path_factory: pytest.TempPathFactory) -> TestPki:
    return TestPki.create(tmp_path_factory.mktemp("other-pki"))


async def test_a_response_is_kept_on_disk_and_renewed_before_it_ends(tmp_path: Path, pki: TestPki) -> None:
    clock, query = VirtualClock(start=NOW), query_of(pki)
    async with open_database(tmp_path / "borne.sqlite", clock) as database:
        cache = CertificateStatusCache(FactStore(database, "certificate-status"), clock)
        assert cache.is_due(query)
        assert cache.statuses([query]) == ()
        response = response_of(pki, query, clock.now)
        await cache.store(query, response)
        assert not cache.is_due(query)
        loaded = CertificateStatusCache(FactStore(database, "certificate-status"), clock)
        await loaded.load()
        (status,) = loaded.statuses([query])
        assert (status.serial_number, status.response) == (query.request.serial_number, response)
        other = replace(query, request=replace(query.request, issuer_key_hash="00"))
        assert loaded.statuses([other]) == (), "another authority uses the same serial number"
        await loaded.keep_only([query])
        assert not loaded.is_due(query)
        await loaded.keep_only([other])
        assert loaded.is_due(query), "its certificate was replaced"
        await clock.advance(timedelta(days=7).total_seconds())
        assert cache.is_due(query), "M06.FR.10: at least once a week"
        await clock.advance(timedelta(days=60).total_seconds())
        assert cache.statuses([query]) == (), "it is not given to vehicles after its nextUpdate"


async def test_a_stale_early_forged_foreign_or_unreadable_response_is_refused(
    tmp_path: Path, pki: TestPki, other_pki: TestPki
) -> None:
    clock, query = VirtualClock(start=NOW), query_of(pki)
    good = response_of(pki, query)
    forged = bytearray(base64.b64decode(good))
    forged[-1] ^= 1
    refused = {
        "cannot be read": "!!",
        "out of date": response_of(pki, query, lambda: NOW - timedelta(days=400)),
        "out of date ": response_of(pki, query, lambda: NOW + timedelta(days=1)),
        "not signed": base64.b64encode(forged).decode(),
        "another certificate": response_of(pki, query_of(pki, "second")),
        "no OCSP status": response_of(other_pki, query),
    }
    async with open_database(tmp_path / "borne.sqlite", clock) as database:
        cache = CertificateStatusCache(FactStore(database, "certificate-status"), clock)
        for reason, response in refused.items():
            with pytest.raises(InvalidCertificateError, match=reason.strip()):
                await cache.store(query, response)
        assert cache.is_due(query)
        assert cache.statuses([query]) == ()


async def test_a_stored_response_with_a_time_without_zone_is_requested_again(tmp_path: Path, pki: TestPki) -> None:
    clock, query = VirtualClock(start=NOW), query_of(pki)
    async with open_database(tmp_path / "borne.sqlite", clock) as database:
        facts = FactStore(database, "certificate-status")
        await facts.save(
            query.key, '{"response":"x","received_at":"2026-01-01T00:00:00","valid_until":"2027-01-01T00:00:00"}'
        )
        cache = CertificateStatusCache(facts, clock)
        await cache.load()
        assert cache.is_due(query)
        assert cache.statuses([query]) == ()
