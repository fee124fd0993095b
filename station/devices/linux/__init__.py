"""The board of an EVSE on GPIO lines, PWM channels and A/D converters of a Linux machine."""
