"""Trusted root certificates, and the station certificate."""
