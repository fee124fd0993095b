"""The example file that `borne init` writes: every key, with its meaning and default."""

from __future__ import annotations

from typing import Final

EXAMPLE: Final = """\
# The installation file of a charging station.
#
# A commented-out key shows its default, or an example if it has no default.
# An environment variable overrides a key: BORNE_CSMS_URL, BORNE_EVSE_0_MAX_CURRENT_A.
# Relative paths start at the working directory. `borne check FILE` reports every error in this file.

[station]
identity = "BORNE-0001"                 # the identity at the CSMS: a-z A-Z 0-9 * - _ = : + | @ .
#vendor = "borne"
#model = "flex"
#serial_number = "0001"
#firmware_version = "1.0.0"             # default: the version of the installed package
#iccid = "8933000000000000000"          # identifier of the SIM card in the modem
#imsi = "208010000000000"               # subscriber identity of the SIM card
#time_zone = "Europe/Paris"             # IANA name; default: UTC, until it is set on the page or by the CSMS
#storage = "./borne-data"               # directory for transactions, settings, keys and logs
#commissioning = "done"                 # "required": no charging until the station is commissioned and activated
#master_pass_selection = false          # with a display: a master pass stops selected transactions; else all
#on_storage_failure = "stop"            # or "continue": charge even if transactions cannot be recorded

# The charging station management system (CSMS). Without this table the station runs stand-alone.
#[csms]
#url = "wss://csms.example/ocpp"        # ws:// or wss://; the station appends its identity
#password = "0123456789abcdef"          # 16 to 64 characters; better set by BORNE_CSMS_PASSWORD
#ca_file = "csms-roots.pem"             # root certificates of the CSMS; default: those of the operating system
#certificate_file = "station.pem"       # client certificate for security profile 3, with its key
#key_file = "station-key.pem"
#security_profile = 3                   # default: the highest that the keys above allow
#allow_security_downgrade = true        # a change of these keys may lower the security profile in use
#message_timeout_s = 30                 # longest wait for the response to a request
#accept = ["relative-station-limits"]   # for Home Assistant: a Relative ChargingStationMaxProfile starts on receipt

# The local page and API.
[http]
#host = "127.0.0.1"                     # this machine only; "0.0.0.0" or "::": reachable from the network
#port = 8080                            # 0: any free port
#names = ["station.example"]            # host names with a dot in the page's address, besides *.local
#trust_loopback = true                  # this machine has the service role; false if a local proxy hides its clients
#installer_code = "ABCD-EFGH-JKLM"      # on the label: the installer sets the first password with it, once
#service_code = "NPQR-STUV-WXYZ"        # the same for service staff
#tls = false                            # true: https, with a self-signed certificate or with these files
#certificate_file = "page.pem"
#key_file = "page-key.pem"

[page]
#visitors = "state"                     # "all": whoever is not signed in also sees power, energy, cost and limits

[log]
#level = "info"                         # debug, info, warning or error
#format = "auto"                        # human, json, or auto: human on a terminal
#file = "borne.log"                     # also write the log to this file
#frames = false                         # also log OCPP messages; they contain id tokens and customer data

# One table for each EVSE.
[[evse]]
id = 1                                  # 1, 2, 3 in the order of the tables, as without it
phases = 3                              # supply phases; or 1
max_current_a = 32                      # rating per phase, 6 to 80
#attached_cable = false                 # false: a socket
#ventilation = false                    # true: the location is ventilated; else a vehicle in state D does not charge
#phase_rotation = "RST"                 # grid phases at terminals L1, L2, L3; or "learn" (determined while charging)
#phase_switching = false                # simulated board: disconnects L2 and L3 if three phases cannot have 6 A each
#phase_choice = false                   # simulated board: charging profiles may choose the phase that stays connected
#priority = 0                           # 0 to 9: if the current is short, the highest priority is served first
#start_button = false                   # without authorization (AuthCtrlr.Enabled = "false"): start with a button
#connector_type = "sType2"              # socket: sType2, sType3; attached cable: cType1, cType2
#meter_serial = "1234567"               # as printed on a meter that does not report its serial number
#signing = "station"                    # or "none": who signs the readings of a meter that does not sign them
#cable_without_rating = "refuse"        # or 10, 13: current limit in amperes for a cable without a valid resistor
#on_meter_failure = "pause"             # or "stop": end the transaction if its meter fails

# The billing meter: "simulated", "modbus-tcp", "modbus-rtu" or "modbus-rtu-over-tcp".
[evse.meter]
type = "simulated"
#type = "modbus-tcp"
#model = "eastron-sdm630"
#host = "192.168.1.20"
#port = 502
#unit = 1                               # Modbus unit (server) address
#timeout_s = 1.0
#invert = false                         # true: the meter is mounted in reverse, swap import and export

[board]
#type = "simulated"
#selector_a = 32                        # 32, 25, 20, 16, 12 or 8
#jumpers = "3-4"                        # position of the smart-meter port's jumpers; default: they cannot be read

# In place of the simulated board: GPIO lines, A/D converters and PWM of this machine, as keys of [board] above.
# Then leave out [simulation], configure real meters, and set [firmware] type = "command".
#  type = "linux"
#  shunt_trip = {line = 21}             # trips the circuit breaker upstream
#  [board.flap]                         # open SIM-card flap; every GPIO line has these keys
#  line = 20
#  chip = "/dev/gpiochip0"
#  active_low = true
#  bias = "pull-up"                     # or "pull-down", "disabled", "as-is"
#  [board.selector]
#  lines = [{line = 22}, {line = 23}, {line = 24}, {line = 25}]    # least significant bit first
#  positions = ["Z", "32", "25", "20", "16", "12", "8", "X", "Y"]  # label of number 0, 1, 2, …; all lines inactive,
#                                       # or all active, may be a loose plug: these two must be 8, X, Y or Z (8 A)
#  [board.jumpers]
#  lines = [{line = 30}, {line = 31}, {line = 32}, {line = 33}, {line = 34}]   # 1-2, 3-4, 5-6, 7-8, 9-10
#  [[board.evse]]                       # one for each EVSE, in the order of [[evse]]
#  contactor = {line = 5}
#  contactor_feedback = {line = 6, active_low = true, bias = "pull-up"}
#  temperature = "/sys/class/hwmon/hwmon0/temp1_input"
#  emergency_stop = {line = 7}
#  too_hot = {line = 8}                 # thermal switch
#  bay = {line = 9}                     # sensor of the parking bay
#  [board.evse.pilot.pwm]
#  path = "/sys/class/pwm/pwmchip0"
#  channel = 0
#  inverted = false
#  [board.evse.pilot.high]              # measures the positive half of the control pilot
#  path = "/sys/bus/iio/devices/iio:device1"
#  channel = 0
#  gain = 4.7                           # volts at the terminal per volt at the converter
#  offset_v = 0.0
#  [board.evse.pilot]
#  low = {path = "/sys/bus/iio/devices/iio:device1", channel = 1, gain = 4.7}  # detects a missing diode
#  [board.evse.proximity]               # socket only
#  path = "/sys/bus/iio/devices/iio:device1"
#  channel = 2
#  pull_up_ohm = 1000
#  reference_v = 3.3
#  [board.evse.lock]                    # socket only; or kind = "solenoid" without open and pulse_s
#  kind = "motor"
#  shut = {line = 10}
#  open = {line = 11}
#  feedback = {line = 12}
#  pulse_s = 0.6
#  [board.evse.phases]                  # relay that disconnects L2 and L3 while the contactor is open
#  connect = {line = 15}
#  feedback = {line = 16}
#  [board.evse.residual]                # residual-current monitor
#  tripped = {line = 13}
#  test = {line = 14}
#  trips_within_s = 0.5
#  recovers_within_s = 2.0

# In place of the simulated board: EVSE controllers on Modbus. [simulation], meters and [firmware] as for "linux".
# The controllers do not report contactor and lock; the station infers both (docs/deploy.md).
#  type = "modbus"
#  selector_a = 16                      # position of the current selector, or breaker rating: not readable
#  [[board.evse]]
#  model = "simple-evse"                # or phoenix-em-cp-pp-eth, phoenix-ev-cc-eth, phoenix-ev-cc-serial
#  device = "/dev/ttyUSB2"              # or host and port, with rtu_over_tcp = false
#  baud = 9600
#  parity = "N"
#  stop_bits = 1
#  unit = 1
#  timeout_s = 1.0

# The status light, besides that on the page: "simulated" (none), or "sysfs" (multicolour LEDs of the Linux kernel).
[light]
type = "simulated"
#type = "sysfs"
#paths = ["/sys/class/leds/rgb:status"] # one for the station, or one for each EVSE in the order of [[evse]]
#brightness = 1.0                       # 1.0: full brightness

# Token readers. Without a reader, tokens come from the API. Cards have UIDs of 4, 7 or 10 bytes.
#[[reader]]
#type = "simulated"                     # POST /api/sim/reader presents a card to it
#name = "reader"
#[[reader]]
#type = "serial"
#device = "/dev/ttyUSB1"
#baud = 9600
#framing = "line"                       # or "stx-etx"
#checksum = "none"                      # or "xor": the last two digits are the XOR of all bytes before
#reversed_bytes = false                 # true: the reader sends the last byte of a UID first
#evse = 1                               # default: the reader serves all EVSEs
#[[reader]]
#type = "keyboard"
#device = "/dev/input/by-id/usb-reader-event-kbd"
#digits = "hexadecimal"                 # or "decimal"
#exclusive = true                       # no other program receives the key presses

# The displays, which show messages of the CSMS.
[display]
#evses = [1]                            # EVSEs with a display of their own, besides that of the station; default: none
#states = ["Charging", "Faulted", "Idle", "Unavailable"]    # messages of the CSMS for other states are refused
#languages = ["en"]                     # "en", "fr", "de", "nl"; several in turn; a driver's own language goes first
#rotation_s = 8                         # seconds for which each of several screens is shown
#session_page = "https://charge.example/{identity}/{evse}"  # QR code during a charge; default: the station's page

# What shows a display besides the page /display: a character display, a file or MQTT for other programs.
#[[display.output]]
#type = "lcd"                           # HD44780 with an I²C port expander
#device = "/dev/i2c-1"
#address = 0x27                         # of the port expander
#expander = "PCF8574"                   # or "MCP23008"
#columns = 20
#rows = 4                               # 1, 2 or 4
#characters = "A00"                     # character ROM; or "A02" (European)
#evse = 1                               # one of display.evses; default: the display of the station
#[[display.output]]
#type = "file"
#path = "/run/borne/display.json"       # each screen as JSON
#[[display.output]]
#type = "mqtt"                          # each screen as JSON, on the topic display; needs [mqtt]

# Protection settings for local rules and the site.
[protection]
#shunt_trip = "none"                    # a DC residual current trips the breaker: "pulse", or "hold" until cleared
#shunt_trip_pulse_s = 1.0
#monitor_test_every_h = 24              # self-test of the residual-current monitor, also at each start
#pause_below_c = -40                    # degrees Celsius inside the station, below which it does not charge
#full_current_until_c = 45              # above it the current falls, to 6 A at pause_above_c
#pause_above_c = 50                     # above it the station does not charge

# How firmware is installed: "simulated" (slots in files), or "command" (commands of this machine).
[firmware]
type = "simulated"
#allow_unsigned = false                 # true: accept firmware without a signature
#type = "command"
#install_command = ["/usr/sbin/install-firmware", "--slot"]   # adds the image path; exit status 65: bad image
#activate_command = ["/usr/sbin/reboot"]                      # starts the installed firmware
#confirm_command = ["/usr/sbin/firmware-is-new"]              # exit status 0: the new firmware is running

# The grid connection, if the station shares it with the loads of the house.
#[grid]
#phases = 3                             # or 1
#max_current_a = 40                     # breaker rating per phase, in addition to the limit that the meter reports
#safe_current_a = 6.0                   # station limit per phase while the grid meter gives no readings
#breaker = "C"                          # or "B": trip curve of the breaker of max_current_a
#unbalance_a = 20                       # amperes by which single-phase vehicles may unbalance the phases
#sharing = "fair"                       # or "first-come": how the current above 6 A per vehicle is shared
#silent_least_after_s = 600             # without readings for this time: at most 6 A
#silent_pause_after_s = 3600            # without readings for this time: charging pauses; false: it continues at 6 A
#restart_delay_max_s = 0                # after a power failure charging restarts after a random delay up to this

# The meter at the grid connection.
#[grid.source]
#type = "linky"
#device = "/dev/ttyS0"                  # left out with [simulation.linky]
#mode = "auto"                          # or "historique", "standard"

# In place of the Linky: a P1 port (DSMR, Belgium, Luxembourg).
#  [grid.source]
#  type = "p1"
#  device = "/dev/ttyUSB0"              # or "socket://192.168.1.21:23"; "simulated": see [simulation.p1]
#  version = "auto"                     # or "modern" (4 and later), "old" (2.2, 3)
#  key = "00112233445566778899AABBCCDDEEFF"                  # if telegrams are encrypted
#  authentication_key = "00112233445566778899AABBCCDDEEFF"   # default: that of Luxembourg

# In place of the Linky: a meter on Modbus.
#  [grid.source]
#  type = "modbus"
#  port = "rs-485"                      # or "rs-232": how a serial meter is wired to the station
#  every_s = 1.0                        # reading interval
#  [grid.source.meter]
#  type = "modbus-rtu"                  # or "modbus-tcp", "modbus-rtu-over-tcp"; keys as in [evse.meter]
#  model = "custom"                     # or the model name of a built-in register table
#  device = "/dev/ttyS1"
#  baud = 9600
#  parity = "N"
#  stop_bits = 1
#  max_registers = 125                  # maximum per request
#  invert_power = false                 # true: the sign of powers is inverted; energy registers are correct
#  [[grid.source.meter.registers]]      # model "custom": one entry for each value
#  quantity = "currents_a.l1"           # voltages_v.l1, powers_w.l1, power_w, frequency_hz, …
#  function = 3                         # Modbus function code; or 4
#  address = 12                         # register address in the request, counted from 0
#  type = "f32"                         # u16, s16, u32, s32, u64, s64, f32, f64
#  word_order = "big"                   # or "low-first"
#  factor = 1.0                         # converts the register value to V, A, W, Hz or Wh

# In place of the Linky: current transformers on an A/D converter of this machine, one for each phase.
#  [grid.source]
#  type = "ct"
#  path = "/sys/bus/iio/devices/iio:device0"
#  node = "/dev/iio:device0"
#  sampling_hz = 3000
#  [[grid.source.clamps]]
#  channel = 0                          # in_voltage0
#  primary_a = 100                      # rated primary current
#  secondary_v = 0.333                  # RMS voltage at the converter at primary_a
#  gain = 1.0                           # calibration factor
#  noise_a = 0.0                        # current shown when none flows
#  bias_v = 1.65                        # default: the middle of the converter's range

# The grid operator's contact for limiting the power (EnWG §14a).
#[grid_order]
#type = "dry-contact"
#polarity = "open-dims"                 # contact state that limits; or "closed-dims": ask the operator, test it on site
#chip = "/dev/gpiochip0"                # or "simulated"
#line = 17
#opposite_line = 27                     # opposite contact of a changeover relay: a broken wire is detected
#unsupervised = false                   # true: allow "closed-dims" without opposite_line: a broken wire ends an order
#devices = 1                            # EVSEs under this limit; other devices, such as a heat pump, do not count
#limit_w = 4200                         # power limit stated by the operator; default: computed from devices
#debounce_s = 0.3                       # time for which a new contact state must last

# An MQTT broker: receives the offered currents and their reasons, and sends limits.
#[mqtt]
#host = "192.168.1.5"
#port = 1883
#user = "borne"
#password = "secret"                    # better set by BORNE_MQTT_PASSWORD
#tls = false
#topic = "borne"                        # prefix of all topics; the identity follows
#discovery = true                       # announce the station to Home Assistant; false removes the announcement
#discovery_prefix = "homeassistant"     # topic prefix that Home Assistant subscribes to

# Announcement in the local network by multicast DNS. Default: enabled if http.host is reachable from other machines.
[mdns]
#enabled = true
#name = "Garage"                        # default: the identity

# The owner's prices, taxes included, used if no CSMS sends the cost. Prices set by PUT /api/prices replace them.
#[prices]
#currency = "EUR"
#energy_per_kwh = 0.25
#time_per_hour = 0                      # of the whole transaction
#idle_per_hour = 0                      # while the vehicle is connected but does not draw, although it could
#idle_after_s = 0                       # free idle time

# Another price of energy in a tariff period of the grid meter.
#[[prices.period]]
#name = "HC"                            # as the meter reports it
#energy_per_kwh = 0.18

# The simulated clock, meters and grid connection, for the simulated board.
[simulation]
#rate = 1.0                             # virtual seconds per second; 0: the clock is advanced by command only
#follow_csms_time = false               # true: the CSMS sets the clock also at another rate, or after it was advanced
#meter_transport = "direct"             # or "modbus-tcp", "modbus-rtu"
#meter_model = "eastron-sdm630"         # register table of the simulated meter
#seed = 1                               # for repeatable noise

#[simulation.p1]
#version = "5.0"                        # "2.2", "4.2", "5.0" or "BE"
#fuse_a = 999                           # current limit that a Belgian meter reports; 999: none

#[simulation.linky]
#mode = "standard"                      # or "historique"
#phases = 3                             # or 1
#subscribed_va = 36000

# OCPP device model: other values or mutabilities than the defaults, and additional variables.
#[[variable]]
#component = "OCPPCommCtrlr"
#variable = "HeartbeatInterval"
#instance = "A"                         # instance of the variable, if it has one
#component_instance = "B"               # instance of the component, if it has one
#evse = 1                               # if the component belongs to an EVSE
#connector = 1                          # if the component belongs to a connector
#attribute = "Actual"                   # or "Target", "MinSet", "MaxSet"
#value = "300"                          # always in quotes
#mutability = "ReadWrite"               # or "ReadOnly", "WriteOnly"; required for an additional variable
"""
