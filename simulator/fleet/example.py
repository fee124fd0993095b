"""The files that `borne fleet init` writes: a plan with every key, and a template of a station."""

from __future__ import annotations

from typing import Final

PLAN_EXAMPLE: Final = """\
# The plan of a fleet: many complete simulated stations at one CSMS. `borne fleet PLAN` runs it, here in two minutes.
#
# A commented-out key shows its default, or an example if it has no default. `borne fleet --check PLAN` reports every
# error. Files are relative to this one. Times are simulated seconds unless they are said to be real.

[fleet]
stations = 20
template = "station.toml"       # the installation file of a station; {n} and {identity} in its texts are replaced
csms = "bundled"                # or a ws:// or wss:// URL, to which each station appends its identity
#csms_workers = 1               # processes of the bundled CSMS
#csms_heartbeat_s = 300         # interval of Heartbeats that the bundled CSMS sets
#first = 1                      # the number n of the first station
#identity = "FLEET-{n:05}"
#password = "a-password-{n:05}" # at the CSMS, 16 to 64 characters; default: that of the template, or none
#credentials = "stations.csv"   # the columns identity and password, instead of the patterns
#seed = 1                       # the same seed gives every station the same vehicles, houses and disturbances
duration_s = 600                # in which vehicles arrive and disturbances happen
rate = 5.0                      # simulated seconds per real second; default: 1
#drain_s = 120                  # longest real time after it, for vehicles to leave and events to be delivered
#hosts = 2                      # processes for the stations; default: one for each core

[ramp]
#stations_per_s = 20.0          # stations started in a real second

[arrivals]
per_day = 200                   # mean number of vehicles that arrive at an EVSE in a day while it is free
# Relative frequency of arrivals in each hour of the day; default: all equal.
#hours = [1, 1, 1, 1, 1, 2, 5, 8, 7, 4, 3, 3, 4, 3, 3, 4, 6, 9, 10, 8, 5, 3, 2, 1]
#begin_hour = 17.0              # hour of the day at which the simulated time begins
#card_after_s = 3               # from plugging in until the driver presents the card
#leave = "stay"                 # "charged": no vehicle leaves before its battery is full

# The mix of vehicles: one table for each kind.
[[vehicle]]
share = 2                       # relative frequency
phases = 3
max_current_a = 16              # A per phase
battery_wh = 60000
soc = [0.2, 0.7]                # state of charge at arrival: smallest and largest
stay_s = [120, 400]             # until it leaves: shortest and longest

[[vehicle]]
share = 1
phases = 1
max_current_a = 32
battery_wh = 30000
soc = [0.3, 0.9]
stay_s = [60, 300]
#iso15118_share = 0.0           # part of these vehicles that communicate by ISO 15118, at an EVSE with an SECC
#contract_share = 0.0           # part of those that have a contract (Plug & Charge); the others use cards

# The contracts of vehicles, if some have one.
[contracts]
#pki = "pki"                    # folder of `borne pki`; default: a PKI for the bundled CSMS is made with the fleet
#names = ["valid"]              # each vehicle with a contract has one of these; "revoked", "expired", … are refused

[tokens]
#count = 1000                   # different cards, whose UIDs follow from the seed
#uids = ["04A3B2C1D5E680"]      # or exactly these cards, which the CSMS knows

# The other loads of the building, for a template with a [grid] table.
#[houses]
#share = 1.0                    # part of the stations whose house has such loads
#base_a = 1.0                   # A on each phase, always
#varying_a = 10.0               # the most in addition
#changes_every_s = 60           # mean time between two changes

# What goes wrong, and when: one table for each event.
[[disturbance]]
type = "reconnect-storm"        # connections are aborted at once; each station reconnects by its back-off
at_s = 300
#share = 1.0                    # part of the stations, drawn by the seed

[[disturbance]]
type = "link-cut"               # the network of a station fails for a while
at_s = 120
lasts_s = 60
spread_s = 30                   # each station begins at a random time up to this later
share = 0.2

[[disturbance]]
type = "power-cut"
at_s = 200
lasts_s = 20
share = 0.1

#[[disturbance]]
#type = "csms-restart"          # the bundled CSMS stops for a while
#at_s = 450
#lasts_s = 10

# What a share of the stations does wrong with its messages, on purpose; the ways are drop, delay, duplicate, reorder,
# corrupt, replace, answer, sequence-number and half-frame.
#[[misbehaviour]]
#way = "duplicate"
#sender = "station"             # or the messages of the "csms"
#message = "call"               # or "answer": those to requests of the other side
#action = "TransactionEvent"    # left out: every action
#times = 0                      # 0: all of them; left out: one
#skip = 1                       # so many pass before
#new_id = true                  # the second one has an id of its own
#at_s = 60
#share = 0.05

#[[misbehaviour]]
#way = "reorder"
#action = "TransactionEvent"
#seconds = 60                   # the longest wait

#[[misbehaviour]]
#way = "sequence-number"
#offset = 1                     # 1 skips a number, -1 repeats one

#[[misbehaviour]]
#way = "replace"
#action = "Heartbeat"
#text = '[2,"{id}","NoSuchAction",{}]'

#[[misbehaviour]]
#way = "replace"
#action = "GetVariables"
#message = "answer"
#payload = { getVariableResult = "none" }

#[[misbehaviour]]
#way = "answer"
#sender = "csms"
#action = "Reset"
#error = "InternalError"
#description = "out of memory"

# What decides the exit code: 0 if all are met, else 1. A key without default decides nothing unless it is set.
[thresholds]
#min_booted = 1.0               # least part of the stations that the CSMS has accepted
#max_boot_p95_s = 30            # real time from the start of a station until it is accepted
#max_reconnect_p95_s = 120      # real time from the loss of a connection until the next one
#max_latency_p95_ms = 500       # time that the CSMS takes to respond
#max_failed_requests = 0.0      # largest part of the requests without a valid response
#max_energy_difference_wh = 1.0 # largest difference between bills and meters of a station
#max_failed_stations = 0        # that end early, or leave transactions or events over
#max_replaced_stations = 0      # restarted without their storage, because their host was lost
"""

TEMPLATE_EXAMPLE: Final = """\
# The installation file of each station of a fleet; `borne init` shows all keys. The fleet sets identity, storage, CSMS,
# the port of the page and the rate of the clock. {n} in a text is the number of the station.

[station]
identity = "{identity}"
serial_number = "{n}"

[log]
level = "warning"               # info: as a station alone logs

[[evse]]
id = 1
phases = 3
max_current_a = 16
"""
