"""Meters and readings, OCMF records, and the register journal: the legally relevant part."""
