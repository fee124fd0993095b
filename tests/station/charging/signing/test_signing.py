"""When readings are signed: a tariff period that changes, a key that comes late, a meter that is silent at the end."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from metering import ocmf
from metering.meter import MeterError
from metering.ocmf_bill import check_bill
from metering.ocmf_payload import ReadingReason, Signatory, SignedTransaction
from metering.time_quality import TimeStatus
from station.charging.evse_state import Authorization
from station.charging.sampling_settings import SamplingSettings
from station.charging.signing.meter_value_signing import assign_user, end_reason
from station.charging.signing.reading_signer import ReadingSigner, SignatureSource, SigningError
from station.charging.signing.signing_key import SigningKey
from station.charging.transaction_settings import TransactionSettings
from station.core.model import IdToken, PilotState, StoppedReason, TriggerReason
from station.core.sampling import ReadingContext
from station.storage.fact_store import FactStore
from tests import fakes
from tests.station.evse_fixture import EvseFixture, evse_fixture


async def stop_charge(fixture: EvseFixture) -> None:
    """The driver stops the charge."""
    fixture.evse.end_authorization(TriggerReason.STOP_AUTHORIZED, StoppedReason.LOCAL, id_token=fakes.CARD)
    await fixture.observe(pilot=PilotState.B)
    await fixture.switch_contactor()
    await fixture.clock.advance(20)
    assert fixture.evse.state.transaction is None


async def test_where_a_tariff_period_ends_the_register_is_signed_and_sent_with_the_end(tmp_path: Path) -> None:
    """OCA note on signed meter values, 2.3.3: with a change of tariff an intermediate signed value is mandatory."""
    async with evse_fixture(tmp_path, signed=True) as fixture:
        fixture.settings.sampling.override(SamplingSettings.sampled_sign_readings, True)
        await fixture.charge()
        identity, signing = fixture.evse.transaction_id, fixture.assembly.signing
        assert identity is not None
        assert signing is not None
        await signing.sign_tariff_change(identity, replace(fakes.reading(1400.0, 16.0), taken_at=fixture.clock.now()))
        fixture.meter.reading = replace(fakes.reading(2000.0), taken_at=fixture.clock.now())
        await stop_charge(fixture)
        signed = [
            (sample.context, sample.value)
            for value in fixture.recorded[-1].meter_values
            for sample in value.samples
            if sample.signed is not None
        ]
        assert signed == [
            (ReadingContext.TRANSACTION_BEGIN, 1000.0),
            (ReadingContext.OTHER, 1400.0),
            (ReadingContext.TRANSACTION_END, 2000.0),
        ]
        records = [ocmf.parse_record(record.text.encode()) for record in await fixture.records.of(identity)]
        assert [record.readings[0].reason for record in records] == ["B", "T", "L"]
        assert check_bill(records).objections == ()


async def test_a_meter_that_is_silent_at_the_end_leaves_a_record_that_says_so(tmp_path: Path) -> None:
    async with evse_fixture(tmp_path, signed=True) as fixture:
        await fixture.charge()
        identity = fixture.evse.transaction_id
        assert identity is not None
        fixture.meter.reading = None
        await fixture.clock.advance(1)
        await stop_charge(fixture)
        await fixture.clock.advance(fixture.settings.transactions.end_register_wait_s)
        records = [ocmf.parse_record(record.text.encode()) for record in await fixture.records.of(identity)]
        assert [record.readings[0].status for record in records] == ["G", "T"]
        assert any("timeout" in objection for objection in check_bill(records).objections)


async def test_a_charge_that_nobody_wants_signed_goes_on_without_a_key(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text("no key")
    async with evse_fixture(tmp_path, signed=True) as fixture:
        await fixture.charge()
        assert fixture.evse.transaction_id is not None
        assert await fixture.records.of(fixture.evse.transaction_id) == []


async def test_a_transaction_that_was_never_authorized_has_nothing_to_sign(tmp_path: Path) -> None:
    async with evse_fixture(tmp_path, signed=True) as fixture:
        await fixture.observe(pilot=PilotState.B, cable_plugged=True)
        await fixture.clock.advance(5)
        await fixture.observe(pilot=PilotState.A, cable_plugged=False)
        await fixture.clock.advance(5)
        assert [kind for kind, _ in fixture.types_and_triggers] == ["Started", "Ended"]
        assert await fixture.records.stored_after(0, 10) == []


async def test_the_holder_of_the_begin_is_the_holder_of_the_end(tmp_path: Path) -> None:
    """Whoever authorizes later in the same transaction does not take over what somebody else began."""
    async with evse_fixture(tmp_path, signed=True) as fixture:
        fixture.settings.transactions.override(TransactionSettings.tx_stop_points, ("EVConnected",))
        await fixture.charge()
        identity = fixture.evse.transaction_id
        assert identity is not None
        fixture.evse.end_authorization(TriggerReason.STOP_AUTHORIZED, StoppedReason.LOCAL, id_token=fakes.CARD)
        fixture.evse.authorize(Authorization(fakes.OTHER_CARD), TriggerReason.AUTHORIZED)
        await fixture.clock.advance(2)
        await fixture.observe(pilot=PilotState.A, contactor_closed=False, cable_plugged=False)
        await fixture.clock.advance(20)
        holders = {ocmf.parse_record(record.text.encode()).text("ID") for record in await fixture.records.of(identity)}
        assert holders == {fakes.CARD.value}


async def test_a_begin_that_is_signed_late_is_not_that_of_the_next_vehicle(tmp_path: Path) -> None:
    """A meter may take seconds to be read; meanwhile one driver leaves and another one comes."""
    async with evse_fixture(tmp_path, signed=True) as fixture:
        fixture.settings.transactions.override(TransactionSettings.tx_start_points, ("DataSigned",))
        fixture.settings.sampling.override(SamplingSettings.sampled_sign_readings, True)
        await fixture.clock.advance(2)
        fixture.meter.clock, fixture.meter.read_duration_s = fixture.clock, 5.0
        for card in (fakes.CARD, fakes.OTHER_CARD):
            await fixture.observe(pilot=PilotState.B, cable_plugged=True)
            fixture.evse.authorize(Authorization(card), TriggerReason.AUTHORIZED)
            await fixture.clock.advance(4)
            if card is fakes.CARD:
                await fixture.observe(pilot=PilotState.A, cable_plugged=False)
        await fixture.clock.advance(30)
        identity = fixture.evse.transaction_id
        assert identity is not None
        assert fixture.evse.state.signed_transaction_id == identity
        (begin,) = await fixture.records.of(identity)
        assert ocmf.parse_record(begin.text.encode()).text("ID") == fakes.OTHER_CARD.value


def test_a_key_code_is_a_secret_and_no_records() -> None:
    assert assign_user(IdToken("1234", "KeyCode")).id_data == ""
    assert assign_user(IdToken("", "NoAuthorization")).assigned is False
    assert assign_user(None).assigned is False
    assert assign_user(fakes.CARD).id_data == fakes.CARD.value


def test_every_reason_to_stop_has_its_letter() -> None:
    assert {end_reason(reason).value for reason in (*StoppedReason, None)} == set("ELRAP")
    assert all(end_reason(reason).ends for reason in StoppedReason)


async def pages_of_a_charge(path: Path) -> list[str]:
    """Run a charge; returns the page numbers of its records in the order of signing."""
    async with evse_fixture(path, signed=True) as fixture:
        await fixture.charge()
        identity, signing = fixture.evse.transaction_id, fixture.assembly.signing
        assert identity is not None
        assert signing is not None
        await signing.signatures.sign_standalone(fakes.reading(1500.0))
        await stop_charge(fixture)
        texts = [record.text for record in await fixture.records.stored_after(0, 100)]
        return [str(ocmf.parse_record(text.encode()).text("PG")) for text in texts]


def lose_database(path: Path) -> None:
    for file in path.glob("db*"):
        file.unlink()


async def test_pages_go_on_where_the_database_is_lost_and_the_key_is_not(tmp_path: Path) -> None:
    """OCMF, PG: counts up by one for the life of the signing component."""
    assert await pages_of_a_charge(tmp_path) == ["T1", "F1", "T2"]
    lose_database(tmp_path)
    assert await pages_of_a_charge(tmp_path) == ["T3", "F2", "T4"]
    assert (await pages_of_a_charge(tmp_path))[3:] == ["T5", "F3", "T6"], "no page is missing or twice where both are"
    lose_database(tmp_path)
    (tmp_path / "key.pem").unlink()
    assert await pages_of_a_charge(tmp_path) == ["T1", "F1", "T2"], "another key counts its own pages"


@pytest.mark.parametrize("left", ["", "T 7", "what was this?"])
async def test_a_mark_that_cannot_be_read_or_is_behind_leaves_the_count_to_the_database(
    tmp_path: Path, left: str
) -> None:
    await pages_of_a_charge(tmp_path)
    mark = tmp_path / "key.pages"
    mark.write_text(left)
    assert (await pages_of_a_charge(tmp_path))[3:] == ["T3", "F2", "T4"]
    mark.unlink()
    mark.mkdir()
    assert (await pages_of_a_charge(tmp_path))[6:] == ["T5", "F3", "T6"]
    assert mark.is_dir()


async def test_no_byte_of_a_signed_record_or_of_a_key_that_flash_memory_has_spoilt_keeps_a_charge_from_ending(
    tmp_path: Path,
) -> None:
    for column, table in (("taken_at", "signed_records"), ("record", "signed_records"), ("since", "signing_keys")):
        folder = tmp_path / column
        folder.mkdir()
        async with evse_fixture(folder, signed=True) as fixture:
            await fixture.charge()
            identity, signing = fixture.evse.transaction_id, fixture.assembly.signing
            assert identity is not None
            assert signing is not None
            await fixture.database.write(f"UPDATE {table} SET {column} = replace({column}, '-', 'q')")
            await fixture.database.write(f"UPDATE {table} SET {column} = replace({column}, '|', 'q')")
            await signing.signatures.load()
            await stop_charge(fixture)
            assert fixture.types_and_triggers[-1] == ("Ended", "StopAuthorized")
            assert len(await fixture.records.keys()) == 1
            assert len(await fixture.records.of(identity)) == {"taken_at": 0, "record": 1, "since": 2}[column]


async def test_a_key_that_flash_memory_has_spoilt_is_known_again_once_it_is_stored_again(tmp_path: Path) -> None:
    async with evse_fixture(tmp_path, signed=True) as fixture:
        await fixture.charge()
        (key,) = await fixture.records.keys()
        await fixture.database.write("UPDATE signing_keys SET spki = x'00'")
        assert key not in await fixture.records.keys()
        await fixture.records.store_key(key)
        assert await fixture.records.keys() == [key]


class OnDemandSigningMeter:
    """A signing meter that returns its record only on request, as the EM580 does."""

    def __init__(self) -> None:
        self.open: str | None = None
        self.refuses = False

    async def public_key(self) -> bytes:
        """A fixed public key."""
        return b"key"

    async def begin(self, subject: SignedTransaction, charge_point: str, time: TimeStatus) -> None:
        """Begin a signed transaction, unless the wire is broken."""
        if self.refuses:
            raise MeterError("silent")
        self.open = subject.transaction_id

    async def end(self, *, aborted: bool = False) -> bytes:
        """The record of the open transaction."""
        if self.refuses or self.open is None:
            raise MeterError("no transaction was begun", transient=False)
        end = '{"TM":"2026-11-25T12:00:00,000+0000 S","TX":"E","RV":9,"RI":"1-0:1.8.0","RU":"kWh","ST":"G"}'
        return f'OCMF|{{"PG":"T1","TT":"0.30<=>{self.open}","RD":[{end}]}}|{{}}'.encode()

    async def confirm(self) -> None:
        """Discard the open transaction."""
        self.open = None


async def test_a_record_that_a_meter_still_has_of_another_transaction_is_kept_as_that_ones_and_signs_no_other(
    tmp_path: Path,
) -> None:
    """The meter was silent when the first one ended, and the second one ended before the meter had begun it."""
    async with evse_fixture(tmp_path) as fixture:
        meter, where = OnDemandSigningMeter(), Signatory("borne", "1-1", "0", "fake", "4711", "0", "STATION 1")
        facts = FactStore(fixture.database, "signing-key")
        signatures = ReadingSigner(
            1,
            SignatureSource(SigningKey(tmp_path / "pem"), meter, fixture.records, lambda: where),
            facts,
            fakes.FakeTime(),
            fixture.clock,
        )
        await signatures.sign_begin(SignedTransaction("first"), fakes.reading(1000.0))
        meter.refuses = True
        with pytest.raises(SigningError):
            await signatures.sign_end("first", fakes.reading(9000.0), ReadingReason.END)
        with pytest.raises(SigningError):
            await signatures.sign_begin(SignedTransaction("second"), fakes.reading(9000.0))
        meter.refuses = False
        with pytest.raises(SigningError, match="first"):
            await signatures.sign_end("second", fakes.reading(9000.0), ReadingReason.END)
        assert [record.page for record in await fixture.records.of("first")] == [1]
        assert await fixture.records.of("second") == []
