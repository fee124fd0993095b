"""Firmware updates: download, verification, installation, activation, rollback."""
