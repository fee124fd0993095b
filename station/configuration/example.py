"""The example that `borne init` writes: every key, with its meaning and default."""

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
#time_zone = "Europe/Paris"             # IANA name; UTC when left out, until it is set on the page or by the CSMS
#storage = "./borne-data"               # directory of the records
#commissioning = "done"                 # "required": nobody charges before installer and owner have done their part
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
#accept = ["relative-station-limits"]   # for Home Assistant: Relative station limits count from their arrival

# The local page and API.
[http]
#host = "127.0.0.1"
#port = 8080                            # 0: any free port
#names = ["station.example"]            # names with a dot under which browsers find it, besides *.local
#trust_loopback = true                  # false behind a proxy on this machine that adds no forwarding header
#installer_code = "ABCD-EFGH-JKLM"      # of the label: sets the installer's password, once
#service_code = "NPQR-STUV-WXYZ"        # the same for service
#tls = false                            # true: https, with the station's own certificate or these files
#certificate_file = "page.pem"
#key_file = "page-key.pem"

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
#ventilation = false                    # true: the place has it; else a vehicle that asks for it (state D) gets nothing
#phase_rotation = "RST"                 # the connection's phases at L1, L2, L3; or "learn"
#phase_switching = false                # the simulated board can take L2 and L3 away: one phase where three lack 6 A
#phase_choice = false                   # it can also choose which one is left, as charging profiles may ask
#priority = 0                           # 0 to 9: the higher is served first where not all can be
#start_button = false                   # charging without cards (AuthCtrlr.Enabled = "false") begins with a button
#connector_type = "sType2"              # sType2, sType3 (a socket); with an attached cable cType1, cType2
#meter_serial = "1234567"               # as printed on the meter, where it does not tell it itself
#signing = "station"                    # or "none": who signs what the meter shows, where it does not itself
#cable_without_rating = "refuse"        # or 10, 13: amperes for a cable whose resistor tells none
#on_meter_failure = "pause"             # or "stop": end the transaction when its meter fails

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
#jumpers = "3-4"                        # of the smart-meter port; left out: they cannot be read

# In place of the simulated board: the lines, converters and PWM of this machine, as keys of [board] above. Then
# [simulation] must be left out, the meters must be real, and [firmware] must be of type "command".
#  type = "linux"
#  shunt_trip = {line = 21}
#  [board.flap]                         # every line has these keys
#  line = 20
#  chip = "/dev/gpiochip0"
#  active_low = true
#  bias = "pull-up"                     # or "pull-down", "disabled", "as-is"
#  [board.selector]
#  lines = [{line = 22}, {line = 23}, {line = 24}, {line = 25}]    # bits, the least one first
#  positions = ["Z", "32", "25", "20", "16", "12", "8", "X", "Y"]  # what is printed for 0, 1, 2, …; where all lines are
#                                       # inactive, or all active, a plug may be off: 8, X, Y or Z, which are 8 A
#  [board.jumpers]
#  lines = [{line = 30}, {line = 31}, {line = 32}, {line = 33}, {line = 34}]   # 1-2, 3-4, 5-6, 7-8, 9-10
#  [[board.evse]]                       # one for each EVSE
#  contactor = {line = 5}
#  contactor_feedback = {line = 6, active_low = true, bias = "pull-up"}
#  temperature = "/sys/class/hwmon/hwmon0/temp1_input"
#  emergency_stop = {line = 7}
#  too_hot = {line = 8}                 # a thermal switch
#  bay = {line = 9}                     # the sensor of the parking bay
#  [board.evse.pilot.pwm]
#  path = "/sys/class/pwm/pwmchip0"
#  channel = 0
#  inverted = false
#  [board.evse.pilot.high]              # the positive half of the control pilot
#  path = "/sys/bus/iio/devices/iio:device1"
#  channel = 0
#  gain = 4.7                           # volts at the terminal for a volt at the converter
#  offset_v = 0.0
#  [board.evse.pilot]
#  low = {path = "/sys/bus/iio/devices/iio:device1", channel = 1, gain = 4.7}  # to find a missing diode
#  [board.evse.proximity]               # of a socket
#  path = "/sys/bus/iio/devices/iio:device1"
#  channel = 2
#  pull_up_ohm = 1000
#  reference_v = 3.3
#  [board.evse.lock]                    # of a socket; or kind = "solenoid" without open and pulse_s
#  kind = "motor"
#  shut = {line = 10}
#  open = {line = 11}
#  feedback = {line = 12}
#  pulse_s = 0.6
#  [board.evse.phases]                  # a relay that takes L2 and L3 away while the contactor is open
#  connect = {line = 15}
#  feedback = {line = 16}
#  [board.evse.residual]
#  tripped = {line = 13}
#  test = {line = 14}
#  trips_within_s = 0.5
#  recovers_within_s = 2.0

# In place of the simulated board: controllers on Modbus, one for each EVSE. The same goes with it as with "linux".
# Contactor and lock are not seen: the first is inferred from state and offer, the second is believed (docs/deploy.md).
#  type = "modbus"
#  selector_a = 16                      # the current selector or the breaker: nothing here can read it
#  [[board.evse]]
#  model = "simple-evse"                # phoenix-em-cp-pp-eth, phoenix-ev-cc-eth, phoenix-ev-cc-serial
#  device = "/dev/ttyUSB2"              # or host, port, rtu_over_tcp = false
#  baud = 9600
#  parity = "N"
#  stop_bits = 1
#  unit = 1
#  timeout_s = 1.0

# What shows the status light besides the page: "simulated" (nothing), or "sysfs": multicolour LEDs of the kernel.
[light]
type = "simulated"
#type = "sysfs"
#paths = ["/sys/class/leds/rgb:status"] # one for the station, or one for each EVSE in order
#brightness = 1.0                       # share of the most that they can do

# Token readers; the API presents tokens without one. Cards have UIDs of 4, 7 or 10 bytes.
#[[reader]]
#type = "simulated"                     # cards are held to it by POST /api/sim/reader
#name = "reader"
#[[reader]]
#type = "serial"
#device = "/dev/ttyUSB1"
#baud = 9600
#framing = "line"                       # or "stx-etx"
#checksum = "none"                      # or "xor": of the bytes before, in the last two digits
#reversed_bytes = false                 # it sends the last byte first
#evse = 1                               # left out: it serves all EVSEs
#[[reader]]
#type = "keyboard"
#device = "/dev/input/by-id/usb-reader-event-kbd"
#digits = "hexadecimal"                 # or "decimal"
#exclusive = true

# What local rules and the place ask of the station's protection.
[protection]
#shunt_trip = "none"                    # a DC residual current trips the breaker: "pulse", or "hold" until cleared
#shunt_trip_pulse_s = 1.0
#monitor_test_every_h = 24              # of the residual-current monitor, besides at each start
#pause_below_c = -40                    # degrees inside the station
#full_current_until_c = 45              # from there on the current falls, to 6 A at pause_above_c
#pause_above_c = 50

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
#breaker = "C"                          # or "B": the curve of the breaker of max_current_a
#unbalance_a = 20                       # by so much may one-phase vehicles load one phase more than another
#sharing = "fair"                       # or "first-come": who gets what is left above 6 A for each
#silent_least_after_s = 600             # from then on a silent source leaves 6 A at the most
#silent_pause_after_s = 3600            # from then on nothing; false: 6 A go on
#restart_delay_max_s = 0                # after a blackout vehicles wait for a random part of this

# What tells how much the house draws.
#[grid.source]
#type = "linky"
#device = "/dev/ttyS0"                  # left out when [simulation.linky] is given
#mode = "auto"                          # or "historique", "standard"

# In place of the Linky: a P1 port (DSMR, Belgium, Luxembourg).
#  [grid.source]
#  type = "p1"
#  device = "/dev/ttyUSB0"              # or "socket://192.168.1.21:23"; "simulated": see [simulation.p1]
#  version = "auto"                     # or "modern" (4 and later), "old" (2.2, 3)
#  key = "00112233445566778899AABBCCDDEEFF"                  # where telegrams are encrypted
#  authentication_key = "00112233445566778899AABBCCDDEEFF"   # where it is not that of Luxembourg

# In place of the Linky: a meter on Modbus.
#  [grid.source]
#  type = "modbus"
#  port = "rs-485"                      # or "rs-232": how a serial meter is wired to the station
#  every_s = 1.0
#  [grid.source.meter]
#  type = "modbus-rtu"                  # or "modbus-tcp", "modbus-rtu-over-tcp"; keys as in [evse.meter]
#  model = "custom"                     # or the name of a table
#  device = "/dev/ttyS1"
#  baud = 9600
#  parity = "N"
#  stop_bits = 1
#  max_registers = 125                  # the most that one request may ask for
#  invert_power = false                 # true: powers have the other sign, counters are right
#  [[grid.source.meter.registers]]      # of a custom meter: one entry for each value
#  quantity = "currents_a.l1"           # voltages_v.l1, powers_w.l1, power_w, frequency_hz, …
#  function = 3                         # or 4
#  address = 12                         # as it goes on the wire
#  type = "f32"                         # u16, s16, u32, s32, u64, s64, f32, f64
#  word_order = "big"                   # or "low-first"
#  factor = 1.0                         # makes V, A, W, Hz or Wh of it

# In place of the Linky: current transformers on a converter of this machine, one for each phase.
#  [grid.source]
#  type = "ct"
#  path = "/sys/bus/iio/devices/iio:device0"
#  node = "/dev/iio:device0"
#  sampling_hz = 3000
#  [[grid.source.clamps]]
#  channel = 0                          # in_voltage0
#  primary_a = 100
#  secondary_v = 0.333                  # at the converter, when primary_a flow
#  gain = 1.0                           # found by calibration
#  noise_a = 0.0                        # shown without any current
#  bias_v = 1.65                        # the middle of the converter's range when left out

# The grid operator's contact that dims (EnWG §14a).
#[grid_order]
#type = "dry-contact"
#polarity = "open-dims"                 # or "closed-dims": ask the operator, and test it
#chip = "/dev/gpiochip0"                # or "simulated"
#line = 17
#opposite_line = 27                     # the other contact of a changeover relay: then a broken wire shows
#unsupervised = false                   # true: "closed-dims" without opposite_line, where a broken wire ends an order
#devices = 1                            # EVSEs behind this limit; a heat pump has its own, and is not counted
#limit_w = 4200                         # as the operator or an energy manager states it; else reckoned from devices
#debounce_s = 0.3

# A broker that is told why which current is offered, and through which limits may come.
#[mqtt]
#host = "192.168.1.5"
#port = 1883
#user = "borne"
#password = "secret"                    # better from BORNE_MQTT_PASSWORD
#tls = false
#topic = "borne"                        # what the topics begin with; the identity follows
#discovery = true                       # Home Assistant finds the station by itself; false takes that back
#discovery_prefix = "homeassistant"     # where it listens

# Found in the local network by multicast DNS; left out: where http.host lets others reach the page.
[mdns]
#enabled = true
#name = "Garage"                        # the identity when left out

# What the owner asks, taxes included, where no CSMS says what a charge costs; PUT /api/prices outweighs it.
#[prices]
#currency = "EUR"
#energy_per_kwh = 0.25
#time_per_hour = 0                      # of the whole transaction
#idle_per_hour = 0                      # while the vehicle takes nothing, of its own accord
#idle_after_s = 0                       # so much of that is free

# Another price of energy in a tariff period of the grid meter.
#[[prices.period]]
#name = "HC"                            # as the meter tells it
#energy_per_kwh = 0.18

# The world around the simulated board.
[simulation]
#rate = 1.0                             # virtual seconds per second; 0: stand still until told
#follow_csms_time = false               # true: the CSMS sets the clock at any rate, also after it was advanced
#meter_transport = "direct"             # or "modbus-tcp", "modbus-rtu"
#meter_model = "eastron-sdm630"
#seed = 1

#[simulation.p1]
#version = "5.0"                        # "2.2", "4.2", "5.0" or "BE"
#fuse_a = 999                           # what a Belgian meter tells; 999: none

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
