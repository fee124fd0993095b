"""The display of the station: the messages of the CSMS, and what the screen shows."""
