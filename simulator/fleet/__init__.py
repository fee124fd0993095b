"""Fleets of simulated stations: plans, arrivals of vehicles, measurements, and reports."""
