"""Certificates that the station trusts, and its own."""
