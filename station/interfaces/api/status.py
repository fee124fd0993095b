"""What `/api/status` says: the whole station at a glance, as plain JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from energy.limit import tightest, told
from station.charging.evse_state import all_faults
from station.charging.tokens.authorization import shown
from station.configuration.price_table import PricesConfig
from station.core.local_time import local_time
from station.interfaces.host import Host
from station.interfaces.json_object import Json
from station.interfaces.status_light import told as told_light

if TYPE_CHECKING:
    from borne.life import Life
    from energy.grid import Tariff
    from metering.reading import Phases, Reading
    from station.charging.evse import Evse
    from station.interfaces.status_light import StatusLight


_MOST_UNREADABLE: Final = 20


async def status(host: Host) -> Json:
    """Everything that changes, in one look."""
    who = host.configuration.station
    life = host.life
    shown: Json = {
        "identity": who.identity,
        "vendor": who.vendor,
        "model": who.model,
        "firmware_version": (life.firmware.version if life is not None else None) or who.firmware_version,
        "powered": life is not None,
        "clock": {
            "now": host.clock.now().isoformat(),
            "monotonic_s": host.clock.monotonic(),
            "rate": host.clock.rate,
            "follows_csms": life.time.follows_csms if life is not None else None,
        },
    }
    if life is None:
        return shown
    shown["local_time"] = local_time(host.clock.now(), life.station.settings).isoformat()
    shown["time_zone"] = life.station.settings.time_zone
    link = life.link
    shown["boot_status"] = link.boot_status if link is not None else None
    shown["csms"] = (
        None
        if link is None
        else {
            "url": link.url,
            "connected": link.connected,
            "since": link.connected_since.isoformat() if link.connected_since is not None else None,
            "security_profile": link.security_profile,
            "network_profile": life.network.active,
            "last_error": link.last_error,
        }
    )
    shown["tamper"] = life.tamper.alarm
    update = life.firmware.record.update
    shown["firmware_update"] = {"request_id": update.order.request_id, "status": update.status} if update else None
    shown["stage"] = life.activation.stage.value
    shown["light"] = told_light(life.light.station)
    shown["evses"] = [
        evse_status(evse, life.light) | await _told_of_cost(life, evse) for evse in life.station.evses.values()
    ]
    shown["master_pass_selects"] = life.station.admission.selecting
    shown["grid"] = _grid(life)
    shown["grid_order"] = _grid_order(life)
    shown["jumpers"] = _jumpers(life)
    shown["unreadable_rows"] = _unreadable_rows(life)
    shown["queue"] = {"transaction_events": await life.station.outbox.waiting()}
    return shown


def evse_status(evse: Evse, light: StatusLight | None) -> Json:
    """One EVSE."""
    state = evse.state
    transaction = state.transaction
    token = evse.authorized
    binding = tightest(evse.limits)
    return {
        "id": evse.id,
        "connector_id": evse.layout.connector_id,
        "connector_status": evse.connector_status.value,
        "operative": state.operative,
        "in_service": state.in_service,
        "pilot": state.seen.pilot.value,
        "plugged": state.seen.cable_plugged,
        "charging_state": state.charging_state.value,
        "id_token": shown(token) if token is not None else None,
        "transaction_id": transaction.id if transaction is not None else None,
        "contactor_closed": state.seen.contactor_closed,
        "phases": state.seen.phases or evse.layout.phases,
        "locked": state.seen.locked,
        "offered_a": evse.offered_a,
        "limit": told(binding) if binding is not None else None,
        "limits": [told(limit) for limit in evse.limits],
        "faults": sorted(fault.value for fault in all_faults(state)),
        "temperature_c": state.seen.temperature_c,
        "contactor_operations": evse.contactor.closed,
        "contactor_opened_under_load": evse.contactor.opened_under_load,
        "meter": _reading(evse.meter.latest),
        "meter_error": evse.meter.error,
        "light": told_light(light.of(evse.id)) if light is not None else None,
    }


async def _told_of_cost(life: Life, evse: Evse) -> Json:
    """What the driver of an EVSE sees on its display, and the cost as numbers (block I)."""
    cost, own_tariff = await life.tariff_and_cost.cost(evse), life.tariff_and_cost.own_tariff(evse)
    return {
        "display": [
            {
                "topic": shown.topic.value,
                "content": shown.content.content,
                "format": shown.content.format,
                "language": shown.content.language,
                "since": shown.since.isoformat(),
                "transaction_id": shown.transaction_id,
                "personal": shown.personal,
            }
            for shown in await life.tariff_and_cost.shown(evse)
        ],
        "own_tariff": PricesConfig.of(own_tariff).model_dump(mode="json") if own_tariff is not None else None,
        "cost": None
        if cost is None
        else {
            "transaction_id": cost.transaction_id,
            "amount": str(cost.amount),
            "currency": cost.currency,
            "final": cost.final,
            "told_by": "csms" if cost.told_by_csms else "station",
        },
    }


def _reading(reading: Reading | None) -> Json | None:
    if reading is None:
        return None
    return {
        "taken_at": reading.taken_at.isoformat(),
        "energy_import_wh": reading.energy_import_wh,
        "power_w": reading.power_w,
        "currents_a": _phases(reading.currents_a),
        "voltages_v": _phases(reading.voltages_v),
    }


def _grid(life: Life) -> Json | None:
    controller = life.load.controller
    sample = controller.last_sample
    if sample is None:
        return None
    return {
        "taken_at": sample.taken_at.isoformat(),
        "age_s": controller.sample_age_s,
        "currents_a": _phases(sample.currents_a),
        "apparent_power_va": sample.apparent_power_va,
        "limit_a": controller.grid_limit_a,
        "overrun": sample.overrun,
        "tariff_period": sample.tariff_period,
        "power_w": sample.power_w,
        "voltages_v": _phases(sample.voltages_v),
        "subscribed_va": sample.subscribed_va,
        "cut_off_va": sample.cut_off_va,
        "fuse_a": sample.fuse_a,
        "limiter_w": sample.limiter_w,
        "tariff": _tariff(sample.tariff),
    }


def _tariff(tariff: Tariff | None) -> Json | None:
    if tariff is None:
        return None
    return {
        "period": tariff.period,
        "index": tariff.index,
        "off_peak": tariff.off_peak,
        "today": tariff.today,
        "tomorrow": tariff.tomorrow,
        "peak_now": tariff.peak_now,
        "peak_announced": tariff.peak_announced,
        "next_day": [
            {"at": step.at.isoformat("minutes"), "index": step.index, "contact_closed": step.contact_closed}
            for step in tariff.next_day
        ],
    }


def _grid_order(life: Life) -> Json | None:
    order = life.grid_orders.order if life.grid_orders is not None else None
    if order is None:
        return None
    return {"limit_w": order.limit_w, "since": order.since.isoformat(), "reason": order.reason.value}


def _jumpers(life: Life) -> Json | None:
    if life.jumpers is None:
        return None
    jumpers = life.jumpers()
    return {"position": jumpers.position, "expected": jumpers.expected, "mismatch": jumpers.mismatch}


def _unreadable_rows(life: Life) -> Json:
    """How many rows of the storage cannot be read, and the first of them."""
    rows = life.unreadable.all()
    return {
        "count": len(rows),
        "rows": [
            {
                "table": row.place.source,
                "row": row.place.key,
                "transaction_id": row.place.transaction_id,
                "seq_no": row.place.seq_no,
                "problem": row.problem,
                "found_at": row.found_at.isoformat(),
            }
            for row in rows[:_MOST_UNREADABLE]
        ],
    }


def _phases(values: Phases[float | None]) -> list[float | None]:
    return list(values)
