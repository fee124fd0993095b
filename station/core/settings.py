"""All settings of a station in one object: validated and stored.

A setting is read as an attribute (`settings.ev_connection_timeout_s`) and changed from text, since all sources
(OCPP, API, disk) provide text. A component that needs only one group takes that group
(`station.core.setting_groups`).
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
    """The settings of all groups, stored together."""
