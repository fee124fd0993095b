"""Meters and readings, OCMF records, and the format of the register journal: the legally relevant part."""
