"""What is billed is signed: on disk before it is sent, by a key that never changes in silence, for anybody to check."""

from __future__ import annotations

import base64
import json
import signal
from pathlib import Path
from typing import Any

import pytest

from metering import ocmf
from metering.journal import RegisterJournal
from metering.journal_entry import JournalEvent
from metering.ocmf import OcmfRecord
from metering.ocmf_bill import check_bill
from metering.ocmf_keys import read_key
from metering.ocmf_signature import check_signature
from tests.command_line import invoke
from tests.csms import running_csms
from tests.patience import until
from tests.walk import CARD, Walk, walking
from tests.walks.house import GRID, House
from tests.walks.station_process import StationProcess
from tests.walks.steps import Event, charge, event, variables
from tests.walks.visit import visiting

REGISTER = "Energy.Active.Import.Register"
SIGNED = variables(SampledDataCtrlr__SignReadings=True)


def signed_values(event: Event) -> list[tuple[str, float, dict[str, str]]]:
    """Return context, value and signature of each signed value of an event."""
    return [
        (sample["context"], sample["value"], sample["signedMeterValue"])
        for value in event.get("meterValue", [])
        for sample in value["sampledValue"]
        if "signedMeterValue" in sample
    ]


def record_of(signed: dict[str, str]) -> OcmfRecord:
    """Return the signed record in a SignedMeterValueType."""
    assert (signed["encodingMethod"], signed["signingMethod"]) == ("OCMF", "")  # the record names its algorithm
    return ocmf.parse_record(base64.b64decode(signed["signedMeterData"]))


async def charge_and_end(walk: Walk) -> Event:
    """Charge for ten minutes; returns the Ended event."""
    await charge(walk)
    await walk.advance(600)
    await walk.present()
    ended = await event(walk, "Ended", "StopAuthorized")
    await walk.until(lambda: not walk.evse.state.observation.locked)
    await walk.unplug()
    return ended


def all_signed(walk: Walk) -> list[tuple[str, float, dict[str, str]]]:
    """Return the signed values of all received events."""
    return [signed for sent_event in walk.events() for signed in signed_values(sent_event)]


async def test_begin_and_end_of_a_transaction_are_signed_and_reported_together(tmp_path: Path) -> None:
    """J02.FR.21; OCA note on signed meter values, 4.1.2, 4.2.1."""
    async with walking(tmp_path, variable=SIGNED) as walk:
        ended = await charge_and_end(walk)
        updated = await event(walk, "Updated", "SignedDataReceived")
        ((context, value, first),) = signed_values(updated)
        assert context == "Transaction.Begin"
        begin, end = signed_values(ended)
        assert (begin[0], end[0]) == ("Transaction.Begin", "Transaction.End")
        assert begin[1] == value
        assert begin[2]["signedMeterData"] == first["signedMeterData"]
        # OncePerTransaction: the first of them carries the key, the others an empty text.
        assert [bool(signed["publicKey"]) for signed in (first, begin[2], end[2])] == [True, False, False]
        marker, encoding, kind, printed = base64.b64decode(first["publicKey"]).decode().split(":")
        assert (marker, encoding, kind) == ("oca", "base16", "asn1")
        records = [record_of(begin[2]), record_of(end[2])]
        for (_, value_wh, _), record in zip((begin, end), records, strict=True):
            assert check_signature(record, read_key(printed)).valid
            assert record.readings[0].energy_wh is not None
            assert float(record.readings[0].energy_wh) == pytest.approx(value_wh, abs=0.001)
        assert [record.text("PG") for record in records] == ["T1", "T2"]
        assert [record.readings[0].reason for record in records] == ["B", "L"]
        assert {(record.text("IT"), record.text("ID"), record.text("IS")) for record in records} == {
            ("ISO14443", CARD.value, "True")
        }
        bill = check_bill(records)
        assert bill.objections == ()
        assert bill.register_deltas[0].energy_wh > 3000


async def test_energy_waits_for_the_signed_begin(tmp_path: Path) -> None:
    """Mid-session values are no begin: the register of the begin is the one before the contactor closed."""
    async with walking(tmp_path, variable=SIGNED) as walk:
        await charge(walk)
        updated = await event(walk, "Updated", "SignedDataReceived")
        assert updated["transactionInfo"]["chargingState"] != "Charging"
        ((_, begin_wh, _),) = signed_values(updated)
        assert begin_wh == 0.0
        order = [trigger for _, trigger in walk.types_and_triggers()]
        assert order.index("SignedDataReceived") < order.index("ChargingStateChanged")


async def test_a_key_that_is_no_key_stops_what_has_to_be_signed_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "signing").mkdir()
    file = tmp_path / "signing" / "evse-1.pem"
    file.write_text("nobody's key")
    async with walking(tmp_path, variable=SIGNED) as walk:
        await walk.accepted()
        await walk.plug()
        await walk.present()
        await walk.advance(60)
        assert sum(walk.board.currents_a) == 0  # no energy without a signed begin
        await walk.set_variable("SampledDataCtrlr", "SignReadings", "false")
        await walk.charging()
        assert all_signed(walk) == []
    assert file.read_text() == "nobody's key"
    assert journal_events(tmp_path).count(JournalEvent.UNSIGNED) == 1


def journal_events(storage: Path) -> list[JournalEvent]:
    """Return the kinds of the entries in the journal of a station, in order."""
    journal = RegisterJournal(storage)
    journal.load()
    return [entry.note.event for entry in journal.entries()][::-1]


@pytest.mark.parametrize(
    ("mode", "keys"),
    [("Never", [False] * 3), ("OncePerTransaction", [True, False, False]), ("EveryMeterValue", [True] * 3)],
)
async def test_the_public_key_comes_as_often_as_the_csms_wants(tmp_path: Path, mode: str, keys: list[bool]) -> None:
    """OCPPCommCtrlr.PublicKeyWithSignedMeterValue."""
    rows = variables(SampledDataCtrlr__SignReadings=True, OCPPCommCtrlr__PublicKeyWithSignedMeterValue=mode)
    async with walking(tmp_path, variable=rows) as walk:
        await charge_and_end(walk)
        assert [bool(signed["publicKey"]) for _, _, signed in all_signed(walk)] == keys


async def test_each_sample_is_signed_where_the_csms_wants_that(tmp_path: Path) -> None:
    """J02.FR.21, J01.FR.21: periodic and clock-aligned ones, in events and in the end; pages without a gap."""
    rows = variables(
        SampledDataCtrlr__SignReadings=True,
        SampledDataCtrlr__SignUpdatedReadings=True,
        SampledDataCtrlr__TxUpdatedInterval=120,
        AlignedDataCtrlr__SignReadings=True,
        AlignedDataCtrlr__SignUpdatedReadings=True,
        AlignedDataCtrlr__Interval=300,
        AlignedDataCtrlr__TxEndedInterval=300,
    )
    async with walking(tmp_path, variable=rows) as walk:
        ended = await charge_and_end(walk)
        periodic = [sent_event for sent_event in walk.events() if sent_event["triggerReason"] == "MeterValuePeriodic"]
        aligned = [sent_event for sent_event in walk.events() if sent_event["triggerReason"] == "MeterValueClock"]
        assert len(periodic) >= 4
        assert len(aligned) >= 2
        assert all(len(signed_values(sent_event)) == 1 for sent_event in (*periodic, *aligned))
        assert {context for context, _, _ in signed_values(ended)} == {
            "Transaction.Begin",
            "Sample.Clock",
            "Transaction.End",
        }
        pages = sorted({int((record_of(value[2]).text("PG") or "")[1:]) for value in all_signed(walk)})
        assert pages == list(range(1, len(pages) + 1))
        for _, _, signed in all_signed(walk):
            assert check_signature(record_of(signed), public_key(walk)).valid


def public_key(walk: Walk) -> Any:
    """Return the public key of the first EVSE."""
    key = walk.parts.signer(1).key
    assert key is not None
    return read_key(key.spki.hex())


async def test_with_signed_aligned_values_alone_the_signed_begin_and_end_are_sent(tmp_path: Path) -> None:
    """OCA note, 4.1.2"""
    async with walking(tmp_path, variable=variables(AlignedDataCtrlr__SignReadings=True)) as walk:
        signed = signed_values(await charge_and_end(walk))
        assert [context for context, _, _ in signed] == ["Transaction.Begin", "Transaction.End"]
        assert [record_of(value).readings[0].reason for _, _, value in signed] == ["B", "L"]


async def test_what_the_csms_asks_for_is_signed_too(tmp_path: Path) -> None:
    """J01.FR.21, F06.FR.06."""
    async with walking(tmp_path, variable=variables(AlignedDataCtrlr__SignReadings=True)) as walk:
        await walk.accepted()
        answer = await walk.csms.call("TriggerMessage", {"requestedMessage": "MeterValues"})
        assert answer["status"] == "Accepted"
        await walk.until(lambda: walk.csms.received("MeterValues"))
        ((context, _, value),) = signed_values(walk.csms.received("MeterValues")[-1])
        assert (context, record_of(value).readings[0].reason) == ("Trigger", None)


async def test_a_sample_without_a_transaction_is_signed_as_one_of_the_meter_alone(tmp_path: Path) -> None:
    """J01.FR.21 with J01.FR.14: fiscal records have pages of their own and nobody they are assigned to."""
    rows = variables(AlignedDataCtrlr__SignReadings=True, AlignedDataCtrlr__Interval=60)
    async with walking(tmp_path, variable=rows) as walk:
        await walk.accepted()
        await walk.advance(200)
        await walk.until(lambda: len(walk.csms.received("MeterValues")) >= 3)
        records = [
            record_of(signed[2]) for message in walk.csms.received("MeterValues") for signed in signed_values(message)
        ]
        assert [record.text("PG") for record in records[:3]] == ["F1", "F2", "F3"]
        assert all("IS" not in record.fields and record.readings[0].reason is None for record in records)


async def test_signed_data_may_start_a_transaction(tmp_path: Path) -> None:
    """E01.FR.04: with DataSigned alone it starts when the begin is signed, and not before."""
    rows = variables(SampledDataCtrlr__SignReadings=True, TxCtrlr__TxStartPoint="DataSigned")
    async with walking(tmp_path, variable=rows) as walk:
        await walk.accepted()
        await walk.plug()
        await walk.advance(5)
        assert walk.events() == []
        await walk.present()
        started = await event(walk, "Started", "SignedDataReceived")
        ((context, _, _),) = signed_values(started)
        assert context == "Transaction.Begin"
        assert started["idToken"]["idToken"] == CARD.value
        assert started["evse"] == {"id": 1, "connectorId": 1}
        await walk.charging()
        await walk.present()
        ended = await event(walk, "Ended", "StopAuthorized")
        assert len(signed_values(ended)) == 2


async def test_pages_and_key_go_on_in_the_next_life(tmp_path: Path) -> None:
    keys: list[str] = []
    pages: list[str | None] = []
    for _ in range(3):
        async with walking(tmp_path, variable=SIGNED) as walk:
            ended = await charge_and_end(walk)
            pages += [record_of(signed).text("PG") for _, _, signed in signed_values(ended)]
            signing = walk.parts.station.assemblies[1].signing
            assert signing is not None
            keys.append(signing.public_key_text())
    assert pages == ["T1", "T2", "T3", "T4", "T5", "T6"]
    assert len(set(keys)) == 1
    assert (tmp_path / "signing" / "evse-1.pem").stat().st_mode & 0o777 == 0o600
    assert journal_events(tmp_path).count(JournalEvent.SIGNING_KEY) == 1


async def test_another_key_is_an_event_and_the_old_one_is_kept(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk:
        await walk.accepted()
        await walk.parts.signer(1).prepare()
        await walk.settle()
    (tmp_path / "signing" / "evse-1.pem").unlink()
    async with walking(tmp_path, variable=SIGNED) as walk, visiting(walk) as api:
        ended = await charge_and_end(walk)
        assert record_of(signed_values(ended)[0][2]).text("PG") == "T1"  # pages belong to a key
        old, new = await api.get("/api/metering/public-keys")
        assert (old["current"], new["current"]) == (False, True)
        (changed, first) = [
            entry for entry in await api.get("/api/metering/journal") if entry["event"] == "signing-key"
        ]
        assert first["details"]["before"] is None
        assert changed["details"] == {
            "fingerprint": new["fingerprint"],
            "before": old["fingerprint"],
            "signer": "station",
        }


async def test_a_transaction_that_a_power_cut_ended_has_its_signed_end(tmp_path: Path) -> None:
    """OCMF TX = P; begin and end are one bill."""
    async with walking(tmp_path, variable=SIGNED) as walk, visiting(walk) as api:
        await charge(walk)
        await walk.advance(300)
        await api.post("/api/sim/power", {"action": "loss"})
        await api.post("/api/sim/power", {"action": "restore"})
        ended = await event(walk, "Ended", "AbnormalCondition")
        records = [record_of(signed) for _, _, signed in signed_values(ended)]
        assert [record.readings[0].reason for record in records] == ["B", "P"]
        assert check_bill(records).objections == ()


async def test_anybody_can_check_the_record_of_a_transaction(tmp_path: Path) -> None:
    """Nothing is sent to the CSMS, and the customer has the record all the same."""
    async with walking(tmp_path) as walk, visiting(walk) as api:
        ended = await charge_and_end(walk)
        assert all_signed(walk) == []
        path = f"/api/transactions/{ended['transactionInfo']['transactionId']}/record"
        answer = await api.client.get(path)
        assert answer.headers["content-type"] == "application/xml"
        file = tmp_path / "record.xml"
        file.write_bytes(answer.content)
        checked = invoke(["verify", str(file)])
        assert checked.exit_code == 0, checked.stdout
        assert "billable by energy" in checked.stdout
        text = (await api.client.get(path, params={"form": "text"})).text
        assert [line[:5] for line in text.splitlines()] == ["OCMF|", "OCMF|"]
        assert (await api.client.get("/api/transactions/none/record")).status_code == 404
        key = await api.get("/api/evses/1/public-key")
        assert key["hex"] in answer.text
        picture = await api.client.get("/api/evses/1/public-key.svg")
        assert picture.headers["content-type"].startswith("image/svg+xml")
        assert picture.text.startswith('<svg xmlns="http://www.w3.org/2000/svg" viewBox='), "or no page shows it"


async def test_who_wants_no_signatures_has_none(tmp_path: Path) -> None:
    """A station that cannot sign does not report what is about signing (SampledDataCtrlr.SignReadings)."""
    async with walking(tmp_path, evse=[{"signing": "none"}]) as walk, visiting(walk) as api:
        await charge_and_end(walk)
        names = {(row["component"], row["variable"]) for row in await api.get("/api/variables")}
        assert not any(name == "SignReadings" for _, name in names)
        assert (await api.client.get("/api/evses/1/public-key")).status_code == 404
    assert not (tmp_path / "signing").exists()


async def test_the_device_model_has_the_public_key(tmp_path: Path) -> None:
    """OCA note on signed meter values, 4.3.2: FiscalMetering.PublicKey of each EVSE."""
    async with walking(tmp_path) as walk, visiting(walk) as api:
        await walk.accepted()
        rows = [row for row in await api.get("/api/variables") if row["variable"] == "PublicKey"]
        assert [row["component"] for row in rows] == ["FiscalMetering"]
        key = await api.get("/api/evses/1/public-key")
        assert key["oca"] in json.dumps(rows)


async def test_another_tariff_period_of_the_grid_meter_divides_the_signed_energy(tmp_path: Path) -> None:
    """Each period is closed with its own signed reading, and the journal names the pages."""
    async with walking(tmp_path, variable=SIGNED, grid=GRID) as walk, visiting(walk) as api:
        house = House(walk, tariff_period="HC..")
        await walk.accepted()
        await house.live(2)
        await charge(walk)
        await house.live(120)
        house.sample_fields["tariff_period"] = "HP.."
        await house.live(120)
        await walk.present()
        ended = await event(walk, "Ended", "StopAuthorized")
        contexts = [context for context, _, _ in signed_values(ended)]
        assert contexts == ["Transaction.Begin", "Other", "Transaction.End"]
        assert [record_of(signed).readings[0].reason for _, _, signed in signed_values(ended)] == ["B", "T", "L"]
        await walk.settle()
        (end,) = [entry for entry in await api.get("/api/metering/journal") if entry["event"] == "end"]
        assert end["details"]["pages"] == "T1,T2,T3"


def library_loaded(station: StationProcess, library: str) -> bool:
    """Whether a library is in the memory of a station."""
    return library in Path(f"/proc/{station.process.pid}/maps").read_text(encoding="utf-8")


async def test_the_library_that_signs_is_loaded_by_the_first_signature_of_a_start_and_not_before(
    tmp_path: Path,
) -> None:
    async with running_csms() as csms:
        station = StationProcess(tmp_path, csms.url)
        try:
            for start in range(2):  # without a key, then with one
                station.start()
                await station.ready()
                await station.post("/api/sim/clock", advance_s=300)
                assert (station.storage / "signing" / "evse-1.pem").exists() is (start == 1)
                assert not library_loaded(station, "cryptography")
                await station.charging()
                await until(lambda: library_loaded(station, "cryptography"))
                assert (station.storage / "signing" / "evse-1.pem").exists()
                station.signal(signal.SIGTERM)
                await station.ended()
        finally:
            await station.aclose()
