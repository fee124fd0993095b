"""Simulated hardware: a vehicle, a house, their meters, and a clock that can be told to run."""
