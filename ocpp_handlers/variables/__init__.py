"""The device model and its variables."""
