"""The example that `borne init` writes: every key, with what it means and what it is when left out."""

from __future__ import annotations

from typing import Final

EXAMPLE: Final = """\
# The installation file of a charging station.
#
# A line that begins with a # and a key shows what the key is when it is left out, or a value it might have.
# Every key may also come from the environment: BORNE_CSMS_URL, BORNE_EVSE_0_MAX_CURRENT_A.
# Relative paths count from the working directory. `borne check FILE` tells whether all is well.

[station]
identity = "BORNE-0001"                 # as the CSMS knows it: a-z A-Z 0-9 * - _ = : + | @ .
#vendor = "borne"
#model = "flex"
#serial_number = "0001"
#firmware_version = "1.0.0"             # the version of the package when left out
#iccid = "8933000000000000000"          # of the SIM card of a mobile link
#imsi = "208010000000000"
#storage = "./borne-data"               # directory of the records
#master_pass_selection = false          # with a display: the holder of a master pass says which charge to stop
#on_storage_failure = "stop"            # or "continue": charge although nothing can be recorded

# The management system. Without this table the station runs stand-alone.
#[csms]
#url = "wss://csms.example/ocpp"        # ws:// or wss://; the identity is appended
#password = "0123456789abcdef"          # 16 to 64 characters; better from BORNE_CSMS_PASSWORD
#ca_file = "csms-roots.pem"             # in place of the system's roots
#certificate_file = "station.pem"       # for security profile 3
#key_file = "station-key.pem"
#security_profile = 3                   # the best that the keys above allow when left out
#message_timeout_s = 30

# The local page and API.
[http]
#host = "127.0.0.1"
#port = 8080                            # 0: any free port

[log]
#level = "info"                         # debug, info, warning or error
#format = "auto"                        # human, json, or auto: human on a terminal
#file = "borne.log"                     # as well as the terminal
#frames = false                         # OCPP messages too; they name cards and customers

# One table for each EVSE.
[[evse]]
id = 1                                  # 1, 2, 3 in order
phases = 3                              # or 1
max_current_a = 32                      # rating per phase, 6 to 80
#attached_cable = false
#start_button = false                   # charging without cards (AuthCtrlr.Enabled = "false") begins with a button
#connector_type = "sType2"              # sType2, sType3 (a socket); with an attached cable cType1, cType2

# The billing meter: "simulated", "modbus-tcp", "modbus-rtu" or "modbus-rtu-over-tcp".
[evse.meter]
type = "simulated"
#type = "modbus-tcp"
#model = "eastron-sdm630"
#host = "192.168.1.20"
#port = 502
#unit = 1
#timeout_s = 1.0
#invert = false

[board]
#type = "simulated"
#selector_a = 32                        # 32, 25, 20, 16, 12 or 8

# How firmware gets into the station: "simulated" slots in files, or "command"s of the machine.
[firmware]
type = "simulated"
#allow_unsigned = false                 # true: install firmware that nobody has signed
#type = "command"
#install_command = ["/usr/sbin/install-firmware", "--slot"]   # and the image; status 65: it is bad
#activate_command = ["/usr/sbin/reboot"]
#confirm_command = ["/usr/sbin/firmware-is-new"]

# The connection of the house, when the station shall share it with the house's loads.
#[grid]
#phases = 3                             # or 1
#max_current_a = 40                     # per phase, besides what the meter tells
#safe_current_a = 6.0                   # per phase, while the source is silent

# What tells how much the house draws.
#[grid.source]
#type = "linky"
#device = "/dev/ttyS0"                  # left out when [simulation.linky] is given
#mode = "auto"                          # or "historique", "standard"

# The world around the simulated board.
[simulation]
#rate = 1.0                             # virtual seconds per second; 0: stand still until told
#meter_transport = "direct"             # or "modbus-tcp", "modbus-rtu"
#meter_model = "eastron-sdm630"
#seed = 1

#[simulation.linky]
#mode = "standard"                      # or "historique"
#phases = 3                             # or 1
#subscribed_va = 36000

# Values in place of the device model's defaults, other mutabilities, and variables of your own.
#[[variable]]
#component = "OCPPCommCtrlr"
#variable = "HeartbeatInterval"
#instance = "A"                         # of the variable, where it has one
#component_instance = "B"               # of the component, where it has one
#evse = 1                               # where the component belongs to an EVSE
#connector = 1
#attribute = "Actual"                   # or "Target", "MinSet", "MaxSet"
#value = "300"                          # always text
#mutability = "ReadWrite"               # or "ReadOnly", "WriteOnly"; a variable of your own needs it
"""
