"""The board of an EVSE on GPIO lines, PWM channels and converters of a Linux machine."""
