"""Builds the parts of a station, layer by layer."""
