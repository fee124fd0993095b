"""Settings of transactions.

The attribute names are stored (table `settings`) and must not change.
"""

from __future__ import annotations

from station.core.setting_kinds import Integer, Switch, TxPoints
from station.core.setting_values import SettingGroup, SupportedChoices

# DataSigned has no meaning as a stop point (part 2, 2.6.6.2; E06.FR.05 was removed by the errata).
_TX_POINTS = ("ParkingBayOccupancy", "EVConnected", "Authorized", "PowerPathClosed", "EnergyTransfer")
_START_POINTS = (*_TX_POINTS[:3], "DataSigned", *_TX_POINTS[3:])
_PARKING_BAY = _TX_POINTS[0]
_NO_SENSOR = "supported: the station has no such sensor"


class TransactionSettings(SettingGroup):
    """Settings of when transactions start and end, of cable unlock and resets, changeable by the CSMS.

    TxCtrlr, OCPPCommCtrlr, ChargingStation.
    """

    ev_connection_timeout_s = Integer(120, minimum=1)
    tx_start_points = TxPoints(("EVConnected", "Authorized"), _START_POINTS)
    tx_stop_points = TxPoints(("EVConnected", "Authorized"), _TX_POINTS)
    stop_tx_on_ev_side_disconnect = Switch(True)
    stop_tx_on_invalid_id = Switch(True)
    max_energy_on_invalid_id_wh = Integer(0)
    """energy that a rejected token may still draw if stop_tx_on_invalid_id is off"""
    tx_before_accepted_enabled = Switch(True)
    # A restarting meter is back within half a minute; a broken one must not delay the bill.
    end_register_wait_s = Integer(60, maximum=86_400)
    """how long an Ended event waits for a meter that does not answer or sign"""
    unlock_on_ev_side_disconnect = Switch(True)
    reset_retries = Integer(1, maximum=10)
    minimum_status_duration_s = Integer(0, maximum=3_600)
    """how long a connector status must last before the CSMS is notified"""

    def disallow_parking_bay(self) -> None:
        """Reject ParkingBayOccupancy in the settings, or ignore it if stored: without a bay sensor it is never reached.

        Part 2, 2.6.6.
        """
        for points in (_START_POINTS, _TX_POINTS):
            allowed = tuple(point for point in points if point != _PARKING_BAY)
            self._restrict_choices(points, SupportedChoices(allowed, _NO_SENSOR, may_be_empty=False))
