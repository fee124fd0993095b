"""Simulated hardware around a station: vehicles, houses, meters, a clock that can be set; and a small CSMS."""
