"""The station's own texts on a display: state, what the driver can do, price, energy, cost, reservation. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from station.core.languages import DEFAULT_LANGUAGE, LANGUAGES, primary_language
from station.core.light_patterns import LightReason
from station.core.local_time import in_zone
from station.core.model import Fault
from station.core.screen import LineReason, LineRole, Screen, ScreenLine, TextSpan
from station.display.markup import message_lines
from station.display.screen_texts import (
    amount_text,
    duration_text,
    energy_text,
    moment_text,
    power_text,
    price_text,
    screen_text,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from station.core.languages import LanguageCode
    from station.display.screen_inputs import DisplayedEvse, DisplayProfile, ScreenInputs

_CARD: Final = {
    LightReason.CARD_AUTHORIZING: "card-asked",
    LightReason.CARD_REJECTED: "card-rejected",
    LightReason.CARD_TIMED_OUT: "card-timed-out",
    LightReason.CARD_NOT_CHECKED: "card-not-checked",
}
"""texts that answer a card just presented; they end by themselves after some seconds"""
_STATES: Final = {
    LightReason.OUT_OF_SERVICE: "out-of-service",
    LightReason.SELF_TEST: "self-test",
    LightReason.SOFTWARE_STARTS: "self-test",
    LightReason.NOT_AUTHENTICATED: "not-authenticated",
    LightReason.WAITING_FOR_POWER: "waiting",
    LightReason.INSTALLING: "installing",
    LightReason.NOT_ACTIVATED: "activate",
    LightReason.UNAVAILABLE: "unavailable",
}
"""texts with a heading and a sentence"""
_VEHICLE_FAULTS: Final = frozenset({Fault.OVER_CURRENT, Fault.DIODE})
"""faults that end when the vehicle is unplugged"""
_FREE: Final = frozenset({LightReason.AVAILABLE, LightReason.OFFLINE})
_CHARGE_REASONS: Final = frozenset({LightReason.CHARGING, LightReason.WAITING_FOR_POWER, LightReason.CHARGE_PAUSED})


def card_screens(display: DisplayProfile, inputs: ScreenInputs) -> Sequence[Screen]:
    """The answers to cards that were just presented, one for each answer; none if there is none.

    A reader for several EVSEs sets the same answer on all of them: it is shown once.
    """
    answered = {key: evse for evse in reversed(inputs.evses) if (key := _CARD.get(evse.light)) is not None}
    return [
        Screen(_sentence(language, key, LineReason.CARD, None), language)
        for key, evse in sorted(answered.items())
        for language in _languages(evse, display)
    ]


def evse_screens(display: DisplayProfile, inputs: ScreenInputs) -> Sequence[Screen]:
    """The screens of the normal cycle about the EVSEs of a display: one for each in use, one for all free ones."""
    several = len(inputs.evses) > 1
    free = [evse for evse in inputs.evses if _is_free(evse)]
    alike = len({(evse.start, evse.tariff, evse.light) for evse in free}) == 1
    groups: list[Sequence[DisplayedEvse]] = [[evse] for evse in inputs.evses if not (alike and _is_free(evse))]
    if alike:
        groups.append(free)
    return [
        Screen(
            tuple(_evse_lines(group, language, inputs, with_heading=several)),
            language,
            group[0].session_page if _is_in_charge(group[0]) and display.size is None else None,
        )
        for group in groups
        for language in _languages(group[0], display)
    ]


def _is_free(evse: DisplayedEvse) -> bool:
    in_use = evse.authorized or evse.connected or evse.reserved_until is not None
    return evse.light in _FREE and not in_use and evse.figures is None and evse.cost is None


def _may_try_again(evse: DisplayedEvse) -> bool:
    """Whether a card was refused and another one may be presented."""
    return evse.light is LightReason.NOT_AUTHENTICATED and evse.open_to_all


def _is_in_charge(evse: DisplayedEvse) -> bool:
    return evse.light in _CHARGE_REASONS and evse.transaction_id is not None


def _languages(evse: DisplayedEvse, display: DisplayProfile) -> Sequence[LanguageCode]:
    """The languages of the texts about an EVSE: that of its driver, else those of the display.

    English if the station speaks no language of the driver (O01.FR.09).
    """
    if not evse.languages:
        return display.languages
    for tag in evse.languages:
        if (language := primary_language(tag)) in LANGUAGES:
            return [language]
    return [DEFAULT_LANGUAGE]


def _evse_lines(
    group: Sequence[DisplayedEvse], language: LanguageCode, inputs: ScreenInputs, *, with_heading: bool
) -> Iterator[ScreenLine]:
    """The lines about one EVSE, or about several free ones with the same texts."""
    evse = group[0]
    evse_id = evse.evse_id if len(group) == 1 else None
    if with_heading:
        yield _line(_evse_heading(group, language), LineRole.NOTE, LineReason.STATE, evse_id)
    yield from _state_lines(evse, language, inputs, evse_id)
    if not _may_try_again(evse):  # else the figures belong to no driver
        yield from _figure_lines(evse, language)
        yield from _needs_lines(evse, language, inputs)
        yield from _cost_lines(evse, language)
    yield from _tariff_lines(evse, language, evse_id)
    if _is_in_charge(evse) and evse.session_page is not None:
        yield _line(screen_text(language, "session-page"), LineRole.NOTE, LineReason.SESSION_PAGE, evse_id)


def _evse_heading(group: Sequence[DisplayedEvse], language: LanguageCode) -> str:
    if len(group) == 1:
        return screen_text(language, "evse", number=str(group[0].evse_id))
    return screen_text(language, "evses", numbers=", ".join(str(evse.evse_id) for evse in group))


def _state_lines(
    evse: DisplayedEvse, language: LanguageCode, inputs: ScreenInputs, evse_id: int | None
) -> Sequence[ScreenLine]:
    """The state of an EVSE, and what its driver can do."""
    if evse.light in _CHARGE_REASONS:
        return _charge_lines(evse, language)
    if evse.light is LightReason.OUT_OF_SERVICE and evse.faults:
        return _sentence(language, _fault_key(evse), LineReason.STATE, evse_id)
    if _may_try_again(evse):
        return _sentence(language, "not-authenticated", LineReason.STATE, evse_id, text=f"try-again.{evse.start}")
    if (key := _STATES.get(evse.light)) is not None:
        return _sentence(language, key, LineReason.STATE, evse_id)
    if evse.authorized and not evse.connected:
        return _sentence(language, "plug-in", LineReason.STATE, evse_id)
    start = screen_text(language, f"start.{evse.start}")
    if evse.light is LightReason.RESERVED or evse.reserved_until is not None:
        return _reservation_lines(evse, language, inputs, start)
    heading = "plugged-in" if evse.connected else "available"
    lines = [
        _line(screen_text(language, heading), LineRole.HEADING, LineReason.STATE, evse_id),
        _line(start, LineRole.TEXT, LineReason.STATE, evse_id),
    ]
    if evse.light is LightReason.OFFLINE:
        offline_text = f"{screen_text(language, 'offline')}: {screen_text(language, 'offline.text')}"
        lines.append(_line(offline_text, LineRole.NOTE, LineReason.STATE, evse_id))
    return lines


def _charge_lines(evse: DisplayedEvse, language: LanguageCode) -> Sequence[ScreenLine]:
    """The state of a charge that runs, is paused, or has ended."""
    evse_id, power_w = evse.evse_id, evse.figures.power_w if evse.figures is not None else None
    if evse.light is LightReason.CHARGING:
        state = _line(screen_text(language, "charging"), LineRole.HEADING, LineReason.STATE, evse_id)
        if power_w is None:
            return [state]
        text = screen_text(language, "charging-power", power=power_text(power_w, language))
        return [replace(state, spans=(TextSpan(text),), state_spans=state.spans)]
    if evse.light is LightReason.WAITING_FOR_POWER:
        return _sentence(language, "waiting", LineReason.STATE, evse_id)
    if not evse.authorized:
        return _sentence(language, "finished", LineReason.STATE, evse_id)
    return _sentence(language, "paused" if evse.connected else "car-unplugged", LineReason.STATE, evse_id)


def _fault_key(evse: DisplayedEvse) -> str:
    if Fault.EMERGENCY_STOP in evse.faults:
        return "emergency-stop"
    return "vehicle-fault" if evse.faults <= _VEHICLE_FAULTS else "fault"


def _reservation_lines(
    evse: DisplayedEvse, language: LanguageCode, inputs: ScreenInputs, start: str
) -> Sequence[ScreenLine]:
    """The lines of a reserved EVSE: until when, without the holder's name, and how the holder starts."""
    heading = screen_text(language, "reserved")
    if (until := evse.reserved_until) is not None:
        time = moment_text(in_zone(until, inputs.zone), in_zone(inputs.now, inputs.zone), language)
        heading = screen_text(language, "reserved-until", time=time)
    return [
        _line(heading, LineRole.HEADING, LineReason.RESERVATION, evse.evse_id),
        _line(screen_text(language, "reserved.text", start=start), LineRole.TEXT, LineReason.RESERVATION, evse.evse_id),
    ]


def _figure_lines(evse: DisplayedEvse, language: LanguageCode) -> Iterator[ScreenLine]:
    figures = evse.figures
    if figures is None:
        return
    if figures.energy_wh is not None:
        yield _figure(language, "energy", energy_text(figures.energy_wh, language), LineReason.ENERGY, evse.evse_id)
    if figures.duration is not None:
        yield _figure(language, "time", duration_text(figures.duration), LineReason.ENERGY, evse.evse_id)


def _needs_lines(evse: DisplayedEvse, language: LanguageCode, inputs: ScreenInputs) -> Iterator[ScreenLine]:
    """What the vehicle wants, while its charge is in progress."""
    needs = evse.needs
    if needs is None or not _is_in_charge(evse):
        return
    energy = energy_text(needs.energy_wh, language)
    if needs.departs_at is None:
        text = screen_text(language, "vehicle-wants", energy=energy)
    else:
        time = moment_text(in_zone(needs.departs_at, inputs.zone), in_zone(inputs.now, inputs.zone), language)
        text = screen_text(language, "vehicle-wants-until", energy=energy, time=time)
    yield _line(text, LineRole.NOTE, LineReason.ENERGY, evse.evse_id)


def _cost_lines(evse: DisplayedEvse, language: LanguageCode) -> Iterator[ScreenLine]:
    cost = evse.cost
    if cost is None:
        return
    if cost.amount is not None:
        text = amount_text(cost.amount, cost.currency, language)
        yield _figure(language, "total" if cost.final else "cost", text, LineReason.COST, evse.evse_id)
    elif cost.content is not None:
        for spans in message_lines(cost.content):
            yield ScreenLine(spans, LineRole.TEXT, LineReason.COST, evse_id=evse.evse_id)


def _tariff_lines(evse: DisplayedEvse, language: LanguageCode, only: int | None) -> Iterator[ScreenLine]:
    """The price before and during a charge; not beside a fault, or once the total is shown."""
    tariff = evse.tariff
    if tariff is None or (evse.cost is not None and evse.cost.final):
        return
    if evse.light in _STATES.keys() - _CHARGE_REASONS and not _may_try_again(evse):
        return
    if tariff.content is not None:
        for spans in message_lines(tariff.content):
            yield ScreenLine(spans, LineRole.TEXT, LineReason.TARIFF, evse_id=only, personal=tariff.personal)
    elif tariff.prices is not None:
        price = _figure(language, "tariff", price_text(tariff.prices, language), LineReason.TARIFF, only)
        yield replace(price, role=LineRole.NOTE) if evse.light in _CHARGE_REASONS else price


def _sentence(
    language: LanguageCode, key: str, reason: LineReason, evse_id: int | None, *, text: str | None = None
) -> tuple[ScreenLine, ...]:
    """A heading and a sentence: the texts `key` and `text`, None: `key.text`."""
    return (
        _line(screen_text(language, key), LineRole.HEADING, reason, evse_id),
        _line(screen_text(language, text or f"{key}.text"), LineRole.TEXT, reason, evse_id),
    )


def _line(text: str, role: LineRole, reason: LineReason, evse_id: int | None) -> ScreenLine:
    return ScreenLine((TextSpan(text),), role, reason, evse_id=evse_id)


def _figure(language: LanguageCode, key: str, value: str, reason: LineReason, evse_id: int | None) -> ScreenLine:
    """A name and its value, such as Energy 12.34 kWh."""
    spans = (TextSpan(f"{screen_text(language, key)} "), TextSpan(value, bold=True))
    return ScreenLine(spans, LineRole.FIGURE, reason, evse_id=evse_id)
