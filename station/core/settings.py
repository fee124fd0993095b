"""All settings of a station in one object: typed, bounded, saved.

A setting is read as an attribute (`settings.ev_connection_timeout_s`) and changed from text, since every way
in (OCPP, the API, the disk) brings text. A refused text says why. A part that needs the settings of its room only
takes that group (`station.core.setting_groups`).
"""

from __future__ import annotations

from station.core.setting_groups import (
    AuthorizationSettings,
    ClockSettings,
    CsmsLinkSettings,
    FirmwareSettings,
    PriceSettings,
    RecordSettings,
    SamplingSettings,
    SecuritySettings,
    SmartChargingSettings,
    TransactionSettings,
)


class Settings(
    ClockSettings,
    RecordSettings,
    SecuritySettings,
    AuthorizationSettings,
    TransactionSettings,
    SamplingSettings,
    SmartChargingSettings,
    PriceSettings,
    FirmwareSettings,
    CsmsLinkSettings,
):
    """The settings of all rooms, stored together."""
