"""Simulated hardware of a station: vehicles, house, meters, a virtual clock; and a small CSMS."""
