"""Firmware: fetched, verified, installed, activated, or rolled back."""
