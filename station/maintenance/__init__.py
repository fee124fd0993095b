"""Firmware, logs, commissioning, factory reset, and erasing a customer's data."""
