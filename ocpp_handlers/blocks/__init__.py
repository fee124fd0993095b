"""The functional blocks of OCPP; the letter of each file is that of its block in part 2."""
