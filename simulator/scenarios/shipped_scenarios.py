"""The scenarios that come with the package, and the example of `borne scenario init`."""

from __future__ import annotations

from pathlib import Path
from typing import Final

SHIPPED_FOLDER: Final = Path(__file__).parent / "shipped"
"""the folder of the shipped scenarios"""

EXAMPLE: Final = """\
# A scenario: what one station does at a CSMS, and what must come of it. `borne scenario run FILE` plays it, here at the
# bundled CSMS; with --csms URL at yours. `borne scenario check FILE` reports every error with its line.

[scenario]
name = "A card, a charge, a bill"
about = "A driver plugs in, presents a card, charges for an hour, and presents it again."
time = "simulated"              # an hour passes in a second; "real" for a CSMS that refuses timestamps of the future
#limit_s = 300                  # real seconds after which the scenario has failed

# What ${name} means in the steps; `--value card=…` replaces it for your CSMS.
[values]
card = "04A3B2C1D5E680"

# Tables of the station's installation file; left out: a station with one EVSE.
#[[station.evse]]
#max_current_a = 16

[[step]]
note = "the driver arrives"
plug.ev = { phases = 3, max_current_a = 16, battery_wh = 60000, soc = 0.4 }

[[step]]
card.uid = "${card}"

[[step]]
expect.action = "TransactionEvent"
expect.payload.eventType = "Started"
expect.payload.transactionInfo.transactionId = "${transaction}"   # captured, and compared from then on
expect.within_s = 10

[[step]]
check.of = "evse"
check.values = { charging_state = "Charging", offered_a = "> 6" }
check.within_s = 20

[[step]]
wait.seconds = 3600

[[step]]
note = "the driver leaves"
card.uid = "${card}"

[[step]]
expect.action = "TransactionEvent"
expect.within_s = 10
[step.expect.payload]
eventType = "Ended"
triggerReason = "StopAuthorized|Deauthorized"
transactionInfo = { transactionId = "${transaction}", stoppedReason = "Local" }

[[step]]
unplug = {}

[[step]]
expect.action = "StatusNotification"
expect.payload = { evseId = 1, connectorStatus = "Available" }

[[step]]
note = "what the station's own log says of it"
check.of = "transaction"
check.values = { transaction_id = "${transaction}", ongoing = false, energy_wh = "10000 .. 12000" }
"""
"""the example file"""


def shipped_files() -> list[Path]:
    """The files of the shipped scenarios, sorted by name."""
    return sorted(SHIPPED_FOLDER.glob("*.toml"))


def find_file(name: str) -> Path:
    """The file that a user names: a path, or the name of a shipped scenario if there is no such path."""
    path = Path(name)
    shipped = SHIPPED_FOLDER / f"{name}.toml"
    return shipped if not path.exists() and "/" not in name and shipped.is_file() else path
