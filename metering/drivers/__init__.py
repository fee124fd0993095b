"""Drivers of billing meters."""
