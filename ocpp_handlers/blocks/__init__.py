"""The functional blocks of OCPP; each file name starts with the letter of its block in part 2."""
