"""Puts the parts of a station together, room by room; `station.app` joins them and adds what speaks OCPP."""
