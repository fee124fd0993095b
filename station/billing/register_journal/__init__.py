"""Writer of the register journal of the billing meters, and the quality of the station's time."""
